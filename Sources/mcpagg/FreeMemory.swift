import CMalloc

/// What the allocator keeps for later.
enum FreeMemory {
    /// All threads share what is free. Otherwise each would keep its own, whose end is never given back (glibc). One thread does nearly
    /// all the work here, and waits for none.
    /// - Precondition: there is one thread.
    static func share() {
        #if canImport(Glibc)
        mallopt(M_ARENA_MAX, 1)
        #endif
    }

    /// Gives whole pages of it back to the system; what is in use stays where it is.
    static func release() {
        #if canImport(Glibc)
        malloc_trim(0)
        #elseif canImport(Darwin)
        malloc_zone_pressure_relief(nil, 0)
        #endif
    }
}
