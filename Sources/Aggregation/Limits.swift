import JSONRPC
import Lifecycle
import MCPProtocol
package import Transports

/// Everything that can grow or wait here, with its bound. What the person can set is in the config file instead.
package enum Limits {
    /// Bytes of one message, from a host or a server.
    package static let messageLength = LineFraming.defaultLimit
    /// Bytes a server may leave unread before calls to it are refused. A message of the full length still fits.
    package static let serverBacklog = 2 * LineFraming.defaultLimit
    /// Bytes a host may leave unread before we stop reading its requests.
    package static let hostBacklog = 2 * LineFraming.defaultLimit
    /// Calls that wait for one server, because it is starting or has no place for them, and their bytes.
    package static let waitingCalls = 1_024
    package static let waitingBytes = LineFraming.defaultLimit
    /// The same for all servers together.
    package static let allWaitingCalls = 4_096
    package static let allWaitingBytes = 4 * LineFraming.defaultLimit
    /// Silence after which memory that is free goes back to the system; and how many times as long that is put off by traffic.
    package static let quietTime = Duration.seconds(1)
    package static let quietDelays = 30
    /// Calls of unknown tools that wait for servers which are starting for the first time.
    package static let earlyRequests = 256
    /// Questions of one server that hosts have not answered yet.
    package static let questions = 64
    /// Times that a stateless server may ask for more before it answers one request.
    package static let inputRounds = 10
    /// A stateless server that asks for nothing but another try gets it after this, times the number of tries.
    package static let inputRetryWait = Duration.milliseconds(100)
    /// Questions of one call within this time reach a stateless host together.
    package static let questionWait = Duration.milliseconds(5)
    /// Calls of one stateless host that wait at their servers for what it was asked for.
    package static let parkedCalls = 256
    /// States of one stateless server that hosts are to bring back to it.
    package static let inputStates = 1_000
    /// Tasks that one host follows itself.
    package static let tasks = 1_000
    /// For the result of a task a host waits as long as it likes, but not longer than this.
    package static let taskWait = Duration.seconds(24 * 3600)
    /// Subscription streams of one stateless host, and resources on one of them.
    package static let listens = 64
    package static let listenedResources = SubscriptionFilter.uriLimit
    /// A server has this long to say whether a resource can be subscribed to, before a listener is told that it cannot.
    package static let subscribeWait = Duration.seconds(5)
    /// A stateless server that stopped telling of changes is asked to go on after this.
    package static let listenAgainWait = Duration.seconds(1)
    /// A server that is asked what it speaks and is silent is one of the handshake era after this.
    package static let probeWait = Duration.seconds(3)
    /// Elicitations at a URL, of one server, whose completion is still passed on.
    package static let elicitations = 1_000
    /// A session over HTTP that had no call for so long is ended, unless the config file says otherwise.
    package static let sessionIdleTime = Duration.seconds(30 * 60)
    /// A server with `start: lazy` that nobody needed for so long is stopped, unless the config file says otherwise.
    package static let lazyIdleTime = Duration.seconds(10 * 60)
    /// What was learned of a server more seconds ago is true enough to be shown, but not for the server to stay unstarted.
    package static let restAge: Int64 = 7 * 24 * 3600
    /// No server is looked after more often than this.
    package static let shortestSilence = Duration.milliseconds(100)
    /// A server that wants to be left alone is, but not for longer than this: then one call asks again.
    package static let longestLeave = Duration.seconds(300)
    /// URLs of servers of which is remembered how they are spoken to.
    package static let knownRemotes = 1_000
    /// Log messages, and reports of progress, of one server that hosts get in such a time: all at once, or evenly. What is beyond that
    /// is dropped: every host reads one stream, and the answers of all other servers would wait in it.
    package static let chatter = 1_000
    package static let chatterStretch = Duration.seconds(10)
    /// Resources subscribed to, of all servers.
    package static let subscriptions = 1_000
    /// URIs remembered from one result, and how deep in it they are looked for.
    package static let rememberedURIs = 1_000
    package static let rememberedDepth = 16
    /// Servers are launched at once, but what hosts can do for them is said in the handshake: for that the first host has this long.
    package static let hostWait = Duration.seconds(3)
    /// If something is known of servers from earlier runs, the first host's first message has this long to come before they are launched,
    /// and its first lists have this long to be asked for.
    package static let firstMessageWait = Duration.milliseconds(100)
    package static let firstListWait = Duration.milliseconds(50)
    /// Requests of one host that are not answered yet.
    package static let hostRequests = RequestTable<Int>.capacity
    /// After a server closed its output we wait this long for it to say, by exiting, why.
    package static let exitWait = Duration.milliseconds(200)
    /// After a server closed its input, it has this long to answer what it has taken from there.
    package static let lastAnswerWait = Duration.seconds(2)
    /// After a server exited, what still holds its output open has this long to finish a message.
    package static let outputWait = Duration.milliseconds(500)
    /// Bytes of what is kept of one server.
    package static let cachedOffer = 32 * 1024 * 1024
    /// What is kept of all servers, of all configs: files, bytes, and seconds for which nobody has needed one.
    package static let cacheBounds = CacheBounds(count: 1_000, bytes: 256 * 1024 * 1024, age: 30 * 24 * 3600, temporaryAge: 3600)
    /// What is still true is written again after so many seconds, so that it does not grow old.
    package static let cacheRefresh: Int64 = 24 * 3600
    /// Seconds that a clock may have been wrong.
    package static let clockError: Int64 = 3600
    /// Changes of what servers offer within this time are kept as one.
    package static let keepWait = Duration.milliseconds(250)
    /// At the end what is to be kept has this long to be written.
    package static let lastKeeping = Duration.seconds(1)
    /// Changes of the merged list within this time are announced as one.
    package static let announceWait = Duration.milliseconds(20)
    /// After a host closed our input, what it asked for before has this long to be answered.
    package static let hostGrace = Duration.seconds(10)
    /// The host has this long to take our last words.
    package static let lastWords = Duration.seconds(2)
    /// Beyond the steps of the teardown, a killed child has this long to be gone.
    package static let killWait = Duration.seconds(2)
    /// Lines of a server's standard error in an error text or a status.
    package static let shownErrorLines = 5
    /// Characters of one line of noise that are shown, and bytes that are looked at for that.
    package static let shownNoise = 120
    package static let noiseLooked = 4_096
    /// Characters that are shown of a method or an id in the log of faults made on purpose.
    package static let shownMethod = 80
}
