// HTTP for Swift by libcurl, whose options are variadic calls that Swift cannot make.
//
// The library is loaded when the first client is made: with what it pulls in, loading it takes longer than all else that a
// command does before its container runs, and most commands speak to no registry.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cc_client cc_client;

typedef struct {
    const char *method;
    const char *url;
    // `Name: value` each.
    const char *const *headers;
    size_t header_count;

    // PEM certificates to trust besides the system's directory of them; NULL for none.
    const uint8_t *authorities;
    size_t authorities_length;
    // Files, NULL for none.
    const char *client_certificate;
    const char *client_key;
    bool verify_peer;

    // Bytes to send: those of a file from an offset on, or of memory, or none where `body_size` is below 0.
    int body_file;
    int64_t body_offset;
    const uint8_t *body;
    int64_t body_size;

    // A transfer slower than this many bytes a second for this many seconds is given up.
    long slowest_bytes_per_second;
    long slow_seconds;
    long connect_seconds;

    void *context;
    // A line of the answer's head, with its line end. Returning false ends the transfer.
    bool (*on_header)(void *context, const char *line, size_t length);
    // Bytes of the answer's body. Returning false ends the transfer.
    bool (*on_body)(void *context, const uint8_t *bytes, size_t count);
    // Bytes of the request's body sent so far.
    void (*on_sent)(void *context, int64_t bytes);
} cc_request;

typedef enum {
    CC_DONE,
    // No connection, a name unknown, a port closed.
    CC_UNREACHABLE,
    // Whoever answered speaks no TLS.
    CC_NOT_TLS,
    // TLS, but its certificate is not trusted, or ours is not taken.
    CC_UNTRUSTED,
    // Cut off, stalled or garbled on the way.
    CC_INTERRUPTED,
    // A callback said so.
    CC_REFUSED,
    CC_OTHER,
} cc_outcome;

typedef struct {
    cc_outcome outcome;
    // HTTP's; 0 when there was no answer.
    long status;
    // libcurl's words where the outcome is not CC_DONE.
    char message[256];
} cc_result;

// NULL when libcurl cannot be loaded; then `error` says why.
cc_client *cc_client_new(const char **error);
void cc_client_free(cc_client *client);

// Connections stay open for the next request. Redirects are not followed.
cc_result cc_perform(cc_client *client, const cc_request *request);
