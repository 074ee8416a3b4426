/// An element to be written out; text and attributes are escaped when it is, so that no value can become markup.
struct XMLElement {
    enum Content {
        case elements([XMLElement])
        case text(String)
    }

    var name: String
    var attributes: [(String, String)]
    var content: Content

    init(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ children: [XMLElement] = []) {
        self.name = name
        self.attributes = attributes.map { ($0.key, $0.value) }
        content = .elements(children)
    }

    init(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], text: String) {
        self.name = name
        self.attributes = attributes.map { ($0.key, $0.value) }
        content = .text(text)
    }

    /// Takes the place of text, where there was any.
    mutating func append(_ child: XMLElement) {
        if case .elements(let children) = content {
            content = .elements(children + [child])
        } else {
            content = .elements([child])
        }
    }

    func render() -> String {
        var output = ""
        write(to: &output, indent: "")
        return output
    }

    private func write(to output: inout String, indent: String) {
        output += "\(indent)<\(name)"
        for (key, value) in attributes { output += " \(key)='\(Self.escape(value))'" }
        switch content {
        case .elements(let children) where children.isEmpty: output += "/>\n"
        case .elements(let children):
            output += ">\n"
            for child in children { child.write(to: &output, indent: indent + "  ") }
            output += "\(indent)</\(name)>\n"
        case .text(let text): output += ">\(Self.escape(text))</\(name)>\n"
        }
    }

    /// XML 1.0, sections 2.2 and 2.4. Control characters cannot be written in XML at all, not even escaped: they become
    /// U+FFFD, except tab and line ends, which are kept by character references.
    static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "'": result += "&apos;"
            case "\"": result += "&quot;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
