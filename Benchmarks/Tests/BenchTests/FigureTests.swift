import Testing

@testable import bench

@Suite("Figures and targets")
struct FigureTests {
    @Test("the ratio is the median of the ratios of each round, not the ratio of the medians")
    func ratio() {
        let figure = Figure("a", "µs", [("relay", [10, 100, 20]), ("mcpagg", [20, 110, 50])], to: "relay")
        #expect(figure.ratio == 2)
        #expect(figure.added == 10)
        #expect(figure.values == ["relay": 20, "mcpagg": 50])
        #expect(Figure("a", "µs", [("mcpagg", [1])], to: "relay").ratio == nil)
    }

    @Test("quantiles lie between the values", arguments: [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (1.0, 4.0)])
    func quantiles(share: Double, value: Double) {
        #expect([4.0, 1, 3, 2].quantile(share) == value)
        #expect([Double]().quantile(share) == 0)
    }

    @Test("a limit itself is met; what was not measured is not")
    func thresholds() {
        let figures = [Figure("a", "", [("mcpagg", [3])])]
        func outcome(_ figure: String, atMost: Double? = nil, atLeast: Double? = nil) -> Threshold.Outcome {
            Threshold(target: "", figure: figure, number: "mcpagg", atMost: atMost, atLeast: atLeast).outcome(in: figures).1
        }
        #expect(outcome("a", atMost: 3) == .met)
        #expect(outcome("a", atMost: 2.9) == .notMet)
        #expect(outcome("a", atLeast: 3.1) == .notMet)
        #expect(outcome("b", atMost: 3) == .notMeasured)
    }

    @Test("turns go round, and each has as many")
    func turns() {
        var order: [Int] = []
        let samples = alternate([0, 1, 2], rounds: 3) { subject in
            order.append(subject)
            return order.count
        }
        #expect(order == [0, 1, 2, 1, 2, 0, 2, 0, 1])
        #expect(samples == [[1, 6, 8], [2, 4, 9], [3, 5, 7]])
    }

    @Test(
        "numbers are as long as they say something",
        arguments: [(0.0, "0.00"), (1.234, "1.23"), (9.999, "10.00"), (12.34, "12.3"), (123.4, "123"), (-0.5, "-0.50"), (0.05, "0.05")])
    func short(number: Double, text: String) { #expect(number.short == text) }
}
