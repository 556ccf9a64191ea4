// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let c: [CSetting] = [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra"), .define("_GNU_SOURCE")]

// A package of its own, so that mcpagg does not depend on what measures it.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v26)],
    dependencies: [
        // Options, and their help.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Percentiles of many thousand calls in fixed memory.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // What must cost next to nothing while it measures, and what must not run Swift.
        .target(name: "CBench", cSettings: c),
        .executableTarget(name: "echo-server", dependencies: ["CBench"], cSettings: c),
        .executableTarget(name: "raw-relay", dependencies: ["CBench"], cSettings: c),
        .executableTarget(name: "http-server", dependencies: ["CBench"], cSettings: c),
        .executableTarget(name: "http-relay", dependencies: ["CBench"], cSettings: c),
        .executableTarget(
            name: "bench",
            dependencies: [
                "CBench",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: swift),
        .testTarget(name: "BenchTests", dependencies: ["CBench", "bench"], swiftSettings: swift),
    ]
)
