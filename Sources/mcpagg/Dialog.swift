/// Somebody who is talked to line by line.
protocol Dialog: Sendable {
    func say(_ text: String)
    /// - Returns: what was written, without its line end; `nil` if the person ended the talk (Ctrl-D), or the task was cancelled.
    func line() async -> String?
}
