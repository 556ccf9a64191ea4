import Testing

@testable import mcpagg

@Suite("The place of the cache")
struct CachePlaceTests {
    #if canImport(Darwin)
    private static let usual = "/h/Library/Caches/mcpagg"
    #else
    private static let usual = "/h/.cache/mcpagg"
    #endif

    @Test(
        "is where the person's caches are",
        arguments: [
            (["XDG_CACHE_HOME": "/c"], "/h", "/c/mcpagg"), ([:], "/h", usual), (["XDG_CACHE_HOME": ""], "/h", usual),
            (["XDG_CACHE_HOME": "relative"], "/h", usual), ([:], "", nil), (["XDG_CACHE_HOME": "/c"], "", "/c/mcpagg"),
        ] as [([String: String], String, String?)])
    func place(environment: [String: String], home: String, path: String?) {
        #expect(CachePlace.path(environment: environment, homeDirectory: home) == path)
    }
}
