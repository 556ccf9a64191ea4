import ArgumentParser

/// A real MCP server for tests, the demo and benchmarks: small, fast, and as badly behaved as it is told to be.
@main
struct FakeMCPServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fake-mcp-server",
        abstract: "An MCP server on stdin and stdout that works well, or misbehaves on request.",
        discussion: "All flags can be combined. Ask it for tools/list to see what its tools do."
    )

    @OptionGroup var behaviour: Behaviour

    func run() throws {
        Processes.prepareSignals(ignoringTermination: behaviour.ignoreSigterm)
        if behaviour.grandchild { try Processes.spawnGrandchild() }
        Noise.writeToStandardError(line: behaviour.stderrLine, floodBytes: behaviour.stderrFlood)
        if let code = behaviour.exitAtStart { Processes.exit(code) }
        let server = Server(
            behaviour: behaviour,
            output: try Output(
                recording: Recording(path: behaviour.recordSent, namesProcess: behaviour.recordProcess),
                byteByByte: behaviour.byteByByte
            ),
            received: try Recording(path: behaviour.record, namesProcess: behaviour.recordProcess)
        )
        server.run()
    }
}
