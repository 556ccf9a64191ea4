/// How far an attempt got that brought no answer (DESIGN, D7).
package enum Delivery: Hashable, Sendable {
    /// Nothing of it left us.
    case notSent
    /// The peer said that it did not do it.
    case refused
    /// It may have been carried out.
    case unknown
}

extension RetryPolicy {
    /// Whether a call that got no answer is sent again, if its deadline allows the delay.
    /// - Parameters:
    ///   - attempts: made so far, 1 at least.
    ///   - isHarmless: carried out twice it does no more than once.
    package func repeats(after attempts: Int, _ delivery: Delivery, isHarmless: Bool) -> Bool {
        attempts < self.attempts && (delivery != .unknown || allows(isHarmless: isHarmless))
    }

    /// Whether what may have been carried out is sent again.
    package func allows(isHarmless: Bool) -> Bool {
        switch replay {
        case .always: true
        case .safe: isHarmless
        case .never: false
        }
    }
}
