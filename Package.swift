// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// The targets stand in the order of the data path, from the wire up; each imports only what stands above it here.
let package = Package(
    name: "mcpagg",
    platforms: [.macOS(.v26)],
    products: [
        .executable(name: "mcpagg", targets: ["mcpagg"]),
        .executable(name: "fake-mcp-server", targets: ["fake-mcp-server"]),
    ],
    dependencies: [
        // Pipes and the one event loop everything runs on.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // HTTP: pooled connections, TLS, proxies.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        // What the certificates of an HTTP server are checked against.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        // Commands, options, help and completion scripts.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // The logging front end that the packages above share.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // Dictionaries that keep the order of the config file; queues.
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // SHA-256 for shortened names, and for the proof that the one who began a login ends it.
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibYAML", pkgConfig: "yaml-0.1",
            providers: [.apt(["libyaml-dev"]), .brew(["libyaml"])]),
        // What tests of several modules use.
        .target(
            name: "TestSupport",
            path: "Tests/TestSupport",
            swiftSettings: settings),
        .target(
            name: "CScan",
            cSettings: [.treatAllWarnings(as: .error)]),
        .target(
            name: "JSONRPC",
            dependencies: ["CScan", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .testTarget(
            name: "JSONRPCTests",
            dependencies: ["JSONRPC", "TestSupport", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .target(
            name: "Resilience",
            dependencies: [.product(name: "DequeModule", package: "swift-collections")],
            swiftSettings: settings),
        .testTarget(
            name: "ResilienceTests",
            dependencies: ["Resilience", "TestSupport"],
            swiftSettings: settings),
        .target(
            name: "MCPProtocol",
            dependencies: ["JSONRPC", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .testTarget(
            name: "MCPProtocolTests",
            dependencies: ["JSONRPC", "MCPProtocol", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .target(
            name: "ConfigFile",
            dependencies: [
                "CLibYAML", "JSONRPC", "Resilience",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ConfigFileTests",
            dependencies: ["ConfigFile", "Resilience", "TestSupport", .product(name: "OrderedCollections", package: "swift-collections")],
            swiftSettings: settings),
        .target(
            name: "FeatureCatalog",
            dependencies: [
                "JSONRPC", "MCPProtocol",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "FeatureCatalogTests",
            dependencies: ["FeatureCatalog", "JSONRPC", "MCPProtocol", "TestSupport", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .target(
            name: "Lifecycle",
            dependencies: ["JSONRPC", "MCPProtocol", "Resilience", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .testTarget(
            name: "LifecycleTests",
            dependencies: [
                "JSONRPC", "Lifecycle", "MCPProtocol", "Resilience", "TestSupport", .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "CMemory",
            cSettings: [.treatAllWarnings(as: .error)]),
        .target(
            name: "CGuard",
            cSettings: [.treatAllWarnings(as: .error)]),
        .target(
            name: "Transports",
            dependencies: [
                "CGuard", "JSONRPC", "MCPProtocol", "Resilience",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TransportsTests",
            dependencies: [
                "JSONRPC", "Resilience", "Transports",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "Authorization",
            dependencies: [
                "JSONRPC",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "AuthorizationTests",
            dependencies: [
                "Authorization", "JSONRPC", "TestSupport",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "Aggregation",
            dependencies: [
                "Authorization", "ConfigFile", "FeatureCatalog", "JSONRPC", "Lifecycle", "MCPProtocol", "Resilience", "Transports",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "AggregationTests",
            dependencies: [
                "Aggregation", "ConfigFile", "FeatureCatalog", "JSONRPC", "Lifecycle", "MCPProtocol", "Resilience", "TestSupport",
                "Transports",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "mcpagg",
            dependencies: [
                "Aggregation", "Authorization", "CMemory", "ConfigFile", "FeatureCatalog", "JSONRPC", "Lifecycle", "MCPProtocol",
                "Resilience", "Transports",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "McpaggTests",
            dependencies: [
                "FeatureCatalog", "JSONRPC", "MCPProtocol", "Resilience", "mcpagg",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "fake-mcp-server",
            dependencies: [
                "JSONRPC",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        // The built program, from outside.
        .testTarget(
            name: "EndToEndTests",
            dependencies: ["fake-mcp-server", "mcpagg", .product(name: "NIOCore", package: "swift-nio")],
            exclude: ["Transcripts"],
            swiftSettings: settings),
        // The code itself.
        .testTarget(
            name: "TidyTests",
            swiftSettings: settings),
    ]
)
