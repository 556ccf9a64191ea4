/// Which faults are made on purpose between us and the servers, and how often, so that people can see what becomes of their agents.
package struct FaultPolicy: Hashable, Sendable {
    /// Shares of all messages, each from 0 to 1 and together at most 1: no message has two of them.
    package struct Shares: Hashable, Sendable {
        /// The message vanishes.
        package var drop: Double
        /// It comes later, and others overtake it.
        package var delay: Double
        /// It comes twice.
        package var duplicate: Double
        /// What comes is not what was sent.
        package var garble: Double
        /// The server is killed, or the connections to it are cut.
        package var kill: Double

        package init(drop: Double = 0, delay: Double = 0, duplicate: Double = 0, garble: Double = 0, kill: Double = 0) {
            self.drop = drop
            self.delay = delay
            self.duplicate = duplicate
            self.garble = garble
            self.kill = kill
        }

        /// With these most starts of a server succeed, and a session of a few hundred messages sees each of them.
        package static let usual = Shares(drop: 0.01, delay: 0.1, duplicate: 0.02, garble: 0.01, kill: 0.005)

        package var sum: Double { drop + delay + duplicate + garble + kill }
    }

    package var seed: UInt64
    package var shares: Shares
    /// The longest that one message is held back.
    package var maxDelay: Duration
    /// Keys of the servers that it is about; all if empty.
    package var servers: Set<String>
    /// Nothing happens to a server while it is being got to know.
    package var sparesHandshake: Bool

    package init(
        seed: UInt64, shares: Shares = .usual, maxDelay: Duration = .milliseconds(500), servers: Set<String> = [],
        sparesHandshake: Bool = false
    ) {
        self.seed = seed
        self.shares = shares
        self.maxDelay = maxDelay
        self.servers = servers
        self.sparesHandshake = sparesHandshake
    }

    package func concerns(_ server: String) -> Bool { servers.isEmpty || servers.contains(server) }
}

/// What happens to the messages of one server in one direction, one after the other.
///
/// The fate of the nth message depends on the seed, the server's key, the direction and n alone: what happens at one server changes
/// nothing for another, and the same run again is the same again.
package struct FaultPlan: Sendable {
    package enum Direction: String, Hashable, Sendable { case toServer, fromServer }

    package enum Fault: Hashable, Sendable {
        case drop
        case delay(Duration)
        case duplicate
        case garble(Garbling)
        case kill
    }

    private let shares: FaultPolicy.Shares
    private let maxDelay: Duration
    private var random: SplitMix

    package init(_ policy: FaultPolicy, server: String, _ direction: Direction) {
        shares = policy.shares
        maxDelay = policy.maxDelay
        // FNV-1a over the key: `Hasher` has another seed in each process.
        var mixed: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in Array(server.utf8) + [0xFF, direction == .toServer ? 1 : 2] { mixed = (mixed ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var seeds = SplitMix(seed: policy.seed)
        random = SplitMix(seed: mixed ^ seeds.next())
    }

    /// The fate of the next message; `nil` if it passes as it is.
    package mutating func next() -> Fault? {
        // Two numbers for each message, whatever becomes of it, so that the shares of one fault change nothing for the messages after it.
        var point = random.fraction()
        let detail = random.next()
        func takes(_ share: Double) -> Bool {
            defer { point -= share }
            return point < share
        }
        if takes(shares.kill) { return .kill }
        if takes(shares.drop) { return .drop }
        if takes(shares.garble) { return .garble(Garbling(seed: detail)) }
        if takes(shares.duplicate) { return .duplicate }
        if takes(shares.delay) {
            return .delay(.nanoseconds(1 + Int64(detail % UInt64(max(1, maxDelay.clampedNanoseconds)))))
        }
        return nil
    }
}

/// How often what was done to a server.
package struct FaultTally: Hashable, Sendable {
    package var messages = 0
    package var dropped = 0
    package var delayed = 0
    package var duplicated = 0
    package var garbled = 0
    package var kills = 0

    package init() {}

    package mutating func count(_ fault: FaultPlan.Fault?) {
        messages += 1
        switch fault {
        case nil: break
        case .drop: dropped += 1
        case .delay: delayed += 1
        case .duplicate: duplicated += 1
        case .garble: garbled += 1
        case .kill: kills += 1
        }
    }
}

extension FaultTally: CustomStringConvertible {
    package var description: String {
        "\(messages) messages, \(dropped) dropped, \(delayed) delayed, \(duplicated) duplicated, \(garbled) garbled, \(kills) with a kill"
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine and in every version of the standard library.
struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1, which it never is.
    mutating func fraction() -> Double { Double(next() >> 11) / Double(1 << 53) }

    /// In `0..<limit`, which is not empty.
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
