import Resilience
import Testing

@Suite("So much in each stretch of time")
struct AllowanceTests {
    private func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test("can be used at once, and comes back piece by piece")
    func comesBack() {
        var allowance = Allowance(2, per: .seconds(1))
        #expect([0, 10, 20, 499].map { allowance.take(now: instant($0)) } == [true, true, false, false])
        #expect([500, 501, 1000, 1001].map { allowance.take(now: instant($0)) } == [true, false, true, false])
    }

    @Test("is whole after a while, and never more than that, however long nothing came")
    func isWhole() {
        var allowance = Allowance(2, per: .seconds(1))
        #expect([0, 0, 0].map { allowance.take(now: instant($0)) } == [true, true, false])
        #expect([90_000, 90_000, 90_000].map { allowance.take(now: instant($0)) } == [true, true, false])
    }

    @Test("of a flood passes what the limit says")
    func flood() {
        var allowance = Allowance(1000, per: .seconds(1))
        let passed = (0..<100_000).count { allowance.take(now: Instant(nanoseconds: Int64($0) * 100_000)) }
        #expect(passed == 1000 + 9999)
    }
}
