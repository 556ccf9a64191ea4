import Resilience
import Testing

@Suite("So much in each stretch of time")
struct AllowanceTests {
    private func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test("what is beyond it is refused until the stretch is over")
    func refuses() {
        var allowance = Allowance(2, per: .seconds(1))
        #expect([0, 10, 20, 999].map { allowance.take(now: instant($0)) } == [true, true, false, false])
        #expect([1000, 1001, 1002].map { allowance.take(now: instant($0)) } == [true, true, false])
    }

    @Test("a stretch begins with the first of its own, however long nothing came")
    func begins() {
        var allowance = Allowance(1, per: .seconds(1))
        #expect([0, 5500, 6400, 6500].map { allowance.take(now: instant($0)) } == [true, true, false, true])
    }
}
