/// What the person's browser shows in the end. Nothing of what came with the request is in it.
enum CallbackPage {
    case done, failed, foreign, unknown, busy

    var status: Int {
        switch self {
        case .done, .failed: 200
        case .foreign: 400
        case .unknown: 404
        case .busy: 405
        }
    }

    var html: String {
        let (title, text) = words
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head><meta charset="utf-8"><title>mcpagg: \(title)</title></head>
            <body><h1>\(title)</h1><p>\(text)</p></body>
            </html>

            """
    }

    private var words: (title: String, text: String) {
        switch self {
        case .done: ("Thank you", "mcpagg goes on by itself, and says in the terminal whether the login worked. You can close this window.")
        case .failed: ("The login did not work", "mcpagg says in the terminal why. You can close this window.")
        case .foreign: ("This is no answer to our question", "mcpagg still waits for the login that it began. You can close this window.")
        case .unknown: ("There is nothing here", "mcpagg waits here for the end of a login, and for nothing else.")
        case .busy: ("Not like this", "mcpagg waits here for the end of a login, which comes with a GET.")
        }
    }
}
