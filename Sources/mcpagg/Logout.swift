import ArgumentParser
import Authorization

struct Logout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout", abstract: "Forget the login to a server behind a URL.",
        discussion: "The authorization server is told, if it takes that; what is forgotten here is forgotten anyway.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The server, by its name in the config file.")
    var server: String

    func run() async throws {
        let setting = try LoginSetting(global, server: server)
        let protected = setting.server
        let wasThere = try await setting.run { try await $0.logout(from: protected) }
        StandardOutput.write(wasThere ? "logged out of '\(server)'\n" : "there was no login to '\(server)'\n")
    }
}
