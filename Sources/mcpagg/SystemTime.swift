#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The clock on the wall.
enum SystemTime {
    /// Since 1970.
    static var seconds: Int64 { Int64(time(nil)) }
}
