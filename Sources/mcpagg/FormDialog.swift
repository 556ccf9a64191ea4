import JSONRPC

/// Asks a person to fill in a form, field by field. All texts of it are a server's: what a terminal would obey goes.
struct FormDialog {
    private enum Reply: Equatable {
        /// JSON text.
        case value(String)
        case leftOut, decline, cancel
    }

    /// With the name of the server in it.
    let message: String
    let form: ElicitationForm
    let style: Style

    func fill(_ dialog: some Dialog) async -> ElicitationForm.Outcome {
        dialog.say(Self.heading(message, style))
        if !form.fields.isEmpty {
            let help = "Enter takes a default, or leaves out what is optional. !skip leaves it out, !decline declines, Ctrl-D cancels."
            dialog.say(style.dim(help) + "\n")
        }
        var proposals = form.defaults
        while true {
            var values: [String: String] = [:]
            for field in form.fields {
                switch await ask(field, proposal: proposals[field.name], dialog) {
                case .value(let json): values[field.name] = json
                case .leftOut: break
                case .decline: return .decline
                case .cancel: return Self.cancelled(dialog)
                }
            }
            switch await confirmation(dialog) {
            case "y": return .accept(values)
            case "n": return .decline
            case "e": proposals = values
            default: return Self.cancelled(dialog)
            }
        }
    }

    /// A server's text, set apart from ours: only its first line begins where ours do.
    static func heading(_ message: String, _ style: Style) -> String {
        let lines = message.withoutControls(butFor: "\n").split(separator: "\n", omittingEmptySubsequences: false)
        return "\n" + style.bold(String(lines[0])) + "\n" + lines.dropFirst().map { "    \($0)\n" }.joined()
    }

    static func cancelled(_ dialog: some Dialog) -> ElicitationForm.Outcome {
        dialog.say(Task.isCancelled ? "\nTaken back.\n" : "\nCancelled.\n")
        return .cancel
    }

    // MARK: One field

    private func ask(_ field: FormField, proposal: String?, _ dialog: some Dialog) async -> Reply {
        dialog.say(introduction(field, proposal: proposal))
        while true {
            dialog.say("> ")
            guard let line = await dialog.line() else { return .cancel }
            switch line.trimmed {
            case "!decline": return .decline
            case "!cancel": return .cancel
            case "!skip" where !field.isRequired: return .leftOut
            case "!skip": dialog.say("this one is required; !decline declines the whole\n")
            case "" where proposal != nil: return .value(proposal ?? "")
            case "" where !field.isRequired: return .leftOut
            case "": dialog.say("this one is required; !decline declines the whole\n")
            default:
                do throws(FormField.Complaint) {
                    return .value(try field.value(of: line))
                } catch {
                    dialog.say(error.text.oneLine + "\n")
                }
            }
        }
    }

    private func introduction(_ field: FormField, proposal: String?) -> String {
        var terms = [field.requirements]
        if let proposal { terms.append("default: \(field.shown(proposal))") }
        if !field.isRequired { terms.append("optional") }
        var text = "\n\(style.bold((field.title ?? field.name).oneLine)) \(style.dim("(\(terms.joined(separator: "; ").oneLine))"))\n"
        if let description = field.description { text += "    \(description.oneLine)\n" }
        for (index, choice) in field.choices.enumerated() {
            let number = field.hasNumbers ? "\(index + 1)  " : ""
            let value = choice.title == choice.value ? "" : style.dim("  (\(choice.value.oneLine))")
            text += "    \(number)\(choice.title.oneLine)\(value)\n"
        }
        return text
    }

    // MARK: The end

    /// - Returns: "y", "n" or "e"; `nil` for neither.
    private func confirmation(_ dialog: some Dialog) async -> String? {
        let question = form.fields.isEmpty ? "Accept? y accepts, n declines" : "Send this? y sends it, n declines, e asks again"
        dialog.say("\n\(question), Ctrl-D cancels.\n")
        while true {
            dialog.say("> ")
            guard let line = await dialog.line()?.trimmed.lowercased() else { return nil }
            switch line {
            case "y", "yes": return "y"
            case "n", "no", "!decline": return "n"
            case "!cancel": return nil
            case "e" where !form.fields.isEmpty: return "e"
            default: dialog.say("write y or n\n")
            }
        }
    }
}
