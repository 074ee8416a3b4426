// TOML for Swift: toml++ is C++ and throws, which Swift can neither import nor catch.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CTOML_STRING,
    CTOML_INTEGER,
    CTOML_FLOAT,
    CTOML_BOOLEAN,
    // An array of strings without NUL bytes, an empty one too: `string` holds them, each followed by a NUL.
    CTOML_STRINGS,
    CTOML_EMPTY_TABLE,
    // Other arrays, dates and times.
    CTOML_OTHER,
} ctoml_kind;

// One value. Keys within tables are joined by dots.
typedef struct {
    const char *key;
    // From 1.
    uint32_t line;
    ctoml_kind kind;
    // NULL unless a string or strings. May hold NUL bytes only where `string_length` says so.
    const char *string;
    size_t string_length;
    int64_t integer;
    double number;
    bool boolean;
} ctoml_entry;

typedef struct ctoml_document ctoml_document;

// Reads a whole document of UTF-8 text. Never throws; NULL only when memory is short.
ctoml_document *ctoml_parse(const char *text, size_t length);
void ctoml_free(ctoml_document *document);

// Why the text is not TOML, and where; NULL when it is.
const char *ctoml_error(const ctoml_document *document);
uint32_t ctoml_error_line(const ctoml_document *document);

size_t ctoml_count(const ctoml_document *document);
// Valid until the document is freed.
ctoml_entry ctoml_entry_at(const ctoml_document *document, size_t index);

#ifdef __cplusplus
}
#endif
