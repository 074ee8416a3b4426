#define TOML_EXCEPTIONS 0
#include "ctoml.h"

#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace {

struct Value {
    std::string key;
    std::string string;
    ctoml_entry entry{};
};

// Whether these are strings alone; they are appended to `joined`.
bool join(const toml::array &array, std::string &joined) {
    for (auto &&node : array) {
        const auto *string = node.as_string();
        if (!string || string->get().find('\0') != std::string::npos) return false;
        joined += string->get();
        joined += '\0';
    }
    return true;
}

void collect(const toml::table &table, const std::string &prefix, std::vector<Value> &values) {
    for (auto &&[name, node] : table) {
        std::string key = prefix + std::string(name.str());
        // An empty table is a value of its own: somebody meant something by it.
        if (const auto *inner = node.as_table(); inner && !inner->empty()) {
            collect(*inner, key + ".", values);
            continue;
        }
        Value value;
        value.key = key;
        value.entry.line = node.source().begin.line;
        value.entry.kind = CTOML_OTHER;
        if (const auto *string = node.as_string()) {
            value.entry.kind = CTOML_STRING;
            value.string = string->get();
        } else if (const auto *integer = node.as_integer()) {
            value.entry.kind = CTOML_INTEGER;
            value.entry.integer = integer->get();
        } else if (const auto *number = node.as_floating_point()) {
            value.entry.kind = CTOML_FLOAT;
            value.entry.number = number->get();
        } else if (const auto *boolean = node.as_boolean()) {
            value.entry.kind = CTOML_BOOLEAN;
            value.entry.boolean = boolean->get();
        } else if (node.is_table()) {
            value.entry.kind = CTOML_EMPTY_TABLE;
        } else if (const auto *array = node.as_array()) {
            if (join(*array, value.string)) value.entry.kind = CTOML_STRINGS;
        }
        values.push_back(std::move(value));
    }
}

}  // namespace

struct ctoml_document {
    std::vector<Value> values;
    std::string error;
    bool failed = false;
    uint32_t error_line = 0;
};

extern "C" {

ctoml_document *ctoml_parse(const char *text, size_t length) {
    try {
        auto *document = new ctoml_document;
        try {
            const toml::parse_result result = toml::parse(std::string_view(text, length));
            if (result) {
                collect(result.table(), "", document->values);
            } else {
                document->failed = true;
                document->error = std::string(result.error().description());
                document->error_line = result.error().source().begin.line;
            }
        } catch (...) {
            delete document;
            return nullptr;
        }
        return document;
    } catch (...) {
        return nullptr;
    }
}

void ctoml_free(ctoml_document *document) { delete document; }

const char *ctoml_error(const ctoml_document *document) {
    return document->failed ? document->error.c_str() : nullptr;
}

uint32_t ctoml_error_line(const ctoml_document *document) { return document->error_line; }

size_t ctoml_count(const ctoml_document *document) { return document->values.size(); }

ctoml_entry ctoml_entry_at(const ctoml_document *document, size_t index) {
    const Value &value = document->values[index];
    ctoml_entry entry = value.entry;
    entry.key = value.key.c_str();
    if (entry.kind == CTOML_STRING || entry.kind == CTOML_STRINGS) {
        entry.string = value.string.data();
        entry.string_length = value.string.size();
    }
    return entry;
}
}
