/// YAML to a ``Node`` tree: one document, anchors, aliases and merge keys included, everything exotic refused by name.
struct YAMLReader {
    private struct Anchor {
        var node: Node
        /// Values in it, those of its aliases included.
        var size: Int
        /// Levels of objects and lists in it.
        var height: Int
    }

    private let events: YAMLEvents
    private let findings: Findings
    private var budget = NodeBudget()
    private var anchors: [String: Anchor] = [:]
    /// Anchors whose value is being read: an alias to one of them would contain itself.
    private var openAnchors: Set<String> = []
    /// The deepest level that the node being read has reached.
    private var deepest = 0

    /// - Returns: `nil` if there is no value to go on with; `findings` then say why, unless the file is empty.
    static func read(_ text: SourceText, _ findings: Findings) -> Node? {
        guard !text.bytes.isEmpty else { return nil }  // libyaml insists on an address
        return text.bytes.withUnsafeBufferPointer { bytes in
            var reader = YAMLReader(events: YAMLEvents(bytes, file: text.file), findings: findings)
            do throws(ConfigProblem) {
                return try reader.document()
            } catch {
                findings.add(error)
                return nil
            }
        }
    }

    private init(events: YAMLEvents, findings: Findings) {
        self.events = events
        self.findings = findings
    }

    private mutating func document() throws(ConfigProblem) -> Node? {
        _ = try events.next()  // stream start
        guard case .documentStart = try events.next().kind else { return nil }
        let first = try events.next()
        if case .scalar("", isPlain: true) = first.kind { return nil }
        let node = try node(first, depth: 0)
        _ = try events.next()  // document end
        let rest = try events.next()
        if case .documentStart = rest.kind {
            findings.add(
                .severalDocuments, at: rest.location, "a second YAML document begins here", hint: "a file holds one; remove the '---' line")
        }
        return node
    }

    private mutating func node(_ event: YAMLEvent, depth: Int) throws(ConfigProblem) -> Node {
        let start = budget.used
        guard budget.spend() else { throw NodeBudget.tooManyValues(at: event.location) }
        let outer = deepest
        deepest = depth
        defer { deepest = max(deepest, outer) }
        if let anchor = event.anchor { openAnchors.insert(anchor) }
        let node: Node
        switch event.kind {
        case .alias(let name): return try alias(name, at: event.location, depth: depth)
        case .scalar(let text, let isPlain): node = scalar(text, isPlain: isPlain, event)
        case .listStart:
            checkTag(event, "seq")
            node = try list(event, depth: depth)
        case .objectStart:
            checkTag(event, "map")
            node = try object(event, depth: depth)
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .listEnd, .objectEnd:
            throw ConfigProblem(.invalidYAML, at: event.location, "a value is missing here")
        }
        if let anchor = event.anchor {
            openAnchors.remove(anchor)
            anchors[anchor] = Anchor(node: node, size: budget.used - start, height: deepest - depth)
        }
        return node
    }

    private mutating func alias(_ name: String, at location: SourceLocation, depth: Int) throws(ConfigProblem) -> Node {
        if openAnchors.contains(name) {
            throw ConfigProblem(.unknownAlias, at: location, "the alias '*\(name)' stands inside of what it stands for")
        }
        guard let anchor = anchors[name] else {
            throw ConfigProblem(
                .unknownAlias, at: location, "no anchor '&\(name)' stands above this alias", hint: "a pattern needs quotes: \"*\(name)\"")
        }
        // Copying the node costs nothing, but whoever walks the tree walks it again: aliases of aliases grow exponentially.
        guard budget.spend(anchor.size) else { throw NodeBudget.tooManyValues(at: location) }
        guard depth + anchor.height <= NodeBudget.depthLimit else { throw NodeBudget.tooDeep(at: location) }
        deepest = max(deepest, depth + anchor.height)
        return anchor.node
    }

    private mutating func list(_ start: YAMLEvent, depth: Int) throws(ConfigProblem) -> Node {
        guard depth < NodeBudget.depthLimit else { throw NodeBudget.tooDeep(at: start.location) }
        deepest = max(deepest, depth + 1)
        var elements: [Node] = []
        while true {
            let event = try events.next()
            if case .listEnd = event.kind { return Node(.list(elements), at: start.location) }
            elements.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func object(_ start: YAMLEvent, depth: Int) throws(ConfigProblem) -> Node {
        guard depth < NodeBudget.depthLimit else { throw NodeBudget.tooDeep(at: start.location) }
        deepest = max(deepest, depth + 1)
        var list = MemberList()
        var merge: (index: Int, sources: [Node.Member])?
        while true {
            let event = try events.next()
            if case .objectEnd = event.kind { break }
            let isMerge = Self.isMergeKey(event)
            let key = try node(event, depth: depth + 1)
            let value = try node(try events.next(), depth: depth + 1)
            if isMerge, merge == nil {
                merge = (list.members.count, mergedMembers(value))
            } else if isMerge {
                findings.add(.duplicateKey, at: event.location, "a second '<<'", hint: "merge several in one list: <<: [*a, *b]")
            } else if case .string(let name) = key.content {
                _ = list.add(name, at: event.location, value, findings)
            } else {
                findings.add(
                    .nonStringKey, at: event.location, "this key is \(key.kindName), not a string",
                    hint: key.written.isEmpty ? nil : "put it in quotes: \"\(key.written)\"")
            }
        }
        guard let merge else { return Node(.object(list.members), at: start.location) }
        // What is merged stands where the '<<' stood; the object's own keys win, and the first of several sources.
        var seen: Set<String> = []
        let additions = merge.sources.filter { !list.contains($0.key) && seen.insert($0.key).inserted }
        var members = list.members
        members.insert(contentsOf: additions, at: merge.index)
        return Node(.object(members), at: start.location)
    }

    private static func isMergeKey(_ event: YAMLEvent) -> Bool {
        guard case .scalar("<<", let isPlain) = event.kind else { return false }
        return event.tag == YAMLScalar.tagPrefix + "merge" || (isPlain && event.tag == nil)
    }

    private func mergedMembers(_ value: Node) -> [Node.Member] {
        let sources: [Node]
        if case .list(let elements) = value.content { sources = elements } else { sources = [value] }
        return sources.flatMap { source -> [Node.Member] in
            if let members = source.members { return members }
            findings.add(
                .invalidYAML, at: source.location, "'<<' merges objects, this is \(source.kindName)",
                hint: "write <<: *name or <<: [*a, *b]")
            return []
        }
    }

    // MARK: Scalars and tags

    private func scalar(_ text: String, isPlain: Bool, _ event: YAMLEvent) -> Node {
        findings.checkCharacters(of: text, at: event.location)
        let content: Node.Content
        if Self.isMergeKey(event) {
            content = .string(text)
        } else if let tag = event.tag {
            if let resolved = YAMLScalar.resolve(text, tag: tag) {
                content = resolved
            } else {
                reportTag(tag, at: event.location)
                content = .string(text)
            }
        } else {
            content = isPlain ? YAMLScalar.resolve(text) : .string(text)
        }
        return Node(content, written: text, at: event.location)
    }

    private func checkTag(_ event: YAMLEvent, _ expected: String) {
        if let tag = event.tag, tag != "!", tag != YAMLScalar.tagPrefix + expected { reportTag(tag, at: event.location) }
    }

    private func reportTag(_ tag: String, at location: SourceLocation) {
        let shown = tag.hasPrefix(YAMLScalar.tagPrefix) ? "!!" + tag.dropFirst(YAMLScalar.tagPrefix.count) : tag
        findings.add(.unsupportedTag, at: location, "the tag '\(shown)' does not fit here", hint: "remove it; tags are not needed")
    }
}
