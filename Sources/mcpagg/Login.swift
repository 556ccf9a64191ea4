import ArgumentParser
import Authorization

struct Login: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Log in to a server behind a URL.",
        usage: "mcpagg login <server> [--browser <command> | --no-browser] [--scope <scope> ...] [--timeout <time>]",
        discussion: """
            Shows an address, opens it in a browser, and waits until the browser comes back to this machine. The tokens are kept for you \
            only, and are renewed by themselves as long as the server lets them. A running 'mcpagg serve' takes them over at once.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The server, by its name in the config file.")
    var server: String

    @Option(help: ArgumentHelp("A line for the shell that opens the address, which is \"$1\" in it.", valueName: "command"))
    var browser: String?

    @Flag(name: .customLong("no-browser"), help: "Only show the address.")
    var isWithoutBrowser = false

    @Option(
        name: .customLong("scope"), parsing: .singleValue,
        help: ArgumentHelp("A scope to ask for, in place of those the server names; may be repeated.", valueName: "scope"))
    var scopes: [String] = []

    @Option(help: ArgumentHelp("How long to wait for the browser, as 90s, 5m or 1h.", valueName: "time"))
    var timeout = PatienceArgument.standard

    func validate() throws {
        if browser != nil, isWithoutBrowser { throw ValidationError("--browser and --no-browser exclude each other") }
        if let browser, browser.allSatisfy(\.isWhitespace) { throw ValidationError("--browser names no command") }
    }

    func run() async throws {
        let setting = try LoginSetting(global, server: server)
        if setting.hasOwnAuthorization {
            throw Failure(
                status: .usage, code: "noLogin",
                message: "server '\(server)' has an 'Authorization' header in the config file, so a login would not be used",
                hint: "remove the header to log in")
        }
        let scopes = scopes.flatMap { $0.split(separator: " ").map(String.init) }
        let (protected, patience, opener) = (setting.server, timeout.duration, opener)
        do {
            let summary = try await setting.run { authorizer in
                try await authorizer.login(
                    to: protected, scopes: scopes, open: { try await show($0, with: opener) }, patience: patience, told: tell)
            }
            show(summary)
        } catch let failure as Failure where failure.code == AuthorizationProblem.Code.noLoginAsked.rawValue {
            StandardOutput.write("server '\(server)' answers without a login\n")
        }
    }

    private var opener: BrowserLaunch? {
        if isWithoutBrowser { return nil }
        return browser.map(BrowserLaunch.init(command:)) ?? BrowserLaunch.usual(ProcessSurroundings().environment)
    }

    @Sendable private func tell(_ step: LoginStep) {
        switch step {
        case .found(let issuer): StandardError.write("server '\(server)' wants logins at \(issuer.withoutControls(butFor: ""))\n")
        case .registered(let issuer): StandardError.write("registered there as a client: \(issuer.withoutControls(butFor: ""))\n")
        case .listening(let redirectURI):
            StandardError.write("the browser will come back to \(redirectURI)\n")
        }
    }

    @Sendable private func show(_ url: String, with opener: BrowserLaunch?) async throws {
        let what = opener == nil ? "open this address in a browser on this machine:" : "if no browser opens, open this address yourself:"
        StandardError.write("\(what)\n\n\(url)\n\nwaiting for the browser; Ctrl-C gives up\n")
        guard let opener else { return }
        do {
            try opener.open(url) { status in
                Failure(
                    status: .unexpected, code: "browser", message: "the command for the browser ended with code \(status)",
                    hint: "open the address yourself"
                ).warn()
            }
        } catch {
            // Whoever reads the address can still open it.
            Failure(status: .unexpected, code: "browser", message: "no browser can be opened: \(error)").warn()
        }
    }

    private func show(_ summary: LoginSummary) {
        let issuer = summary.issuer.withoutControls(butFor: "")
        var text = "logged in to '\(server)' at \(issuer)"
        if !summary.scopes.isEmpty { text += ", with \(summary.scopes.joined(separator: " "))" }
        StandardOutput.write(text + "\n")
        if !summary.isRenewable, let expiry = summary.expiresAt {
            let minutes = max(0, expiry - SystemTime.seconds) / 60
            StandardError.write("this login cannot be renewed, and ends in \(minutes) min\n")
        }
    }
}

/// How long a person may take.
struct PatienceArgument: ExpressibleByArgument {
    static let standard = PatienceArgument(duration: .seconds(300))
    /// Nobody is in front of the browser any more.
    private static let longest = 24 * 3600

    let duration: Duration

    private init(duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let units = ["s": 1, "m": 60, "h": 3600]
        guard let unit = argument.last.flatMap({ units[String($0)] }), argument.utf8.count <= 8,
            argument.dropLast().allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(argument.dropLast()),
            (1...Self.longest).contains(count * unit)
        else { return nil }
        duration = .seconds(count * unit)
    }

    var defaultValueDescription: String { "5m" }
}
