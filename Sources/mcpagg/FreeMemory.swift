import CMemory

/// Memory that we have and do not need.
enum FreeMemory {
    /// All threads share what is free.
    /// - Precondition: there is one thread.
    static func share() { memory_share_free() }

    /// Gives back what is free.
    static func release() { memory_release_free() }

    /// Gives back what was needed for the start alone: most of the code that has run until then.
    static func releaseStart() {
        memory_release_code()
        memory_release_free()
    }
}
