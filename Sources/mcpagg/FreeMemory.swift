import CMalloc

/// What the allocator keeps for later.
enum FreeMemory {
    /// Gives whole pages of it back to the system; what is in use stays where it is.
    static func release() {
        #if canImport(Glibc)
        malloc_trim(0)
        #elseif canImport(Darwin)
        malloc_zone_pressure_relief(nil, 0)
        #endif
    }
}
