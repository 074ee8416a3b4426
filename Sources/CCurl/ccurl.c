#define CURL_DISABLE_TYPECHECK
#include "ccurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) init;
    __typeof__(&curl_easy_cleanup) cleanup;
    __typeof__(&curl_easy_reset) reset;
    __typeof__(&curl_easy_setopt) set;
    __typeof__(&curl_easy_perform) perform;
    __typeof__(&curl_easy_getinfo) get;
    __typeof__(&curl_easy_strerror) text;
    __typeof__(&curl_slist_append) append;
    __typeof__(&curl_slist_free_all) free_list;
} curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[256];

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(load_error, sizeof load_error, "%s", dlerror());
        return;
    }
    const struct { const char *name; void **slot; } functions[] = {
        {"curl_global_init", (void **)&curl.global_init}, {"curl_easy_init", (void **)&curl.init},
        {"curl_easy_cleanup", (void **)&curl.cleanup},    {"curl_easy_reset", (void **)&curl.reset},
        {"curl_easy_setopt", (void **)&curl.set},         {"curl_easy_perform", (void **)&curl.perform},
        {"curl_easy_getinfo", (void **)&curl.get},        {"curl_easy_strerror", (void **)&curl.text},
        {"curl_slist_append", (void **)&curl.append},     {"curl_slist_free_all", (void **)&curl.free_list},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].slot = dlsym(library, functions[i].name);
        if (!*functions[i].slot) {
            snprintf(load_error, sizeof load_error, "libcurl.so.4 has no %s", functions[i].name);
            return;
        }
    }
    CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) snprintf(load_error, sizeof load_error, "%s", curl.text(code));
}

struct cc_client {
    CURL *easy;
};

cc_client *cc_client_new(const char **error) {
    pthread_once(&once, load);
    if (load_error[0]) {
        *error = load_error;
        return NULL;
    }
    cc_client *client = malloc(sizeof *client);
    if (client && (client->easy = curl.init())) return client;
    free(client);
    *error = "no memory left";
    return NULL;
}

void cc_client_free(cc_client *client) {
    curl.cleanup(client->easy);
    free(client);
}

// One transfer's state, for the callbacks.
struct transfer {
    const cc_request *request;
    int64_t sent;
    bool refused;
};

static size_t header(char *line, size_t size, size_t count, void *argument) {
    struct transfer *transfer = argument;
    if (transfer->request->on_header(transfer->request->context, line, size * count)) return size * count;
    transfer->refused = true;
    return 0;
}

static size_t body(char *bytes, size_t size, size_t count, void *argument) {
    struct transfer *transfer = argument;
    if (transfer->request->on_body(transfer->request->context, (const uint8_t *)bytes, size * count)) return size * count;
    transfer->refused = true;
    return 0;
}

static size_t source(char *buffer, size_t size, size_t count, void *argument) {
    struct transfer *transfer = argument;
    const cc_request *request = transfer->request;
    int64_t left = request->body_size - transfer->sent;
    size_t wanted = size * count;
    if ((int64_t)wanted > left) wanted = (size_t)left;
    if (wanted == 0) return 0;
    if (request->body) {
        memcpy(buffer, request->body + transfer->sent, wanted);
    } else {
        ssize_t got = pread(request->body_file, buffer, wanted, request->body_offset + transfer->sent);
        // A file that became shorter: what was announced cannot be sent.
        if (got <= 0) return CURL_READFUNC_ABORT;
        wanted = (size_t)got;
    }
    transfer->sent += (int64_t)wanted;
    if (request->on_sent) request->on_sent(request->context, transfer->sent);
    return wanted;
}

// curl asks for the body again from its beginning when a kept connection turned out to be closed.
static int rewind_source(void *argument, curl_off_t offset, int origin) {
    struct transfer *transfer = argument;
    if (origin != SEEK_SET || offset < 0 || offset > transfer->request->body_size) return CURL_SEEKFUNC_FAIL;
    transfer->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static cc_outcome outcome(CURLcode code, bool refused) {
    switch (code) {
    case CURLE_OK: return CC_DONE;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT: return CC_UNREACHABLE;
    case CURLE_SSL_CONNECT_ERROR: return CC_NOT_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return CC_UNTRUSTED;
    case CURLE_WRITE_ERROR: return refused ? CC_REFUSED : CC_OTHER;
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY: return CC_INTERRUPTED;
    default: return CC_OTHER;
    }
}

cc_result cc_perform(cc_client *client, const cc_request *request) {
    CURL *easy = client->easy;
    struct transfer transfer = {.request = request};
    cc_result result = {.outcome = CC_OTHER};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        struct curl_slist *longer = curl.append(headers, request->headers[i]);
        if (!longer) {
            curl.free_list(headers);
            snprintf(result.message, sizeof result.message, "no memory left");
            return result;
        }
        headers = longer;
    }
    // Connections, sessions and names that were looked up stay.
    curl.reset(easy);
    char words[CURL_ERROR_SIZE] = "";
    curl.set(easy, CURLOPT_ERRORBUFFER, words);
    curl.set(easy, CURLOPT_NOSIGNAL, 1L);
    curl.set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.set(easy, CURLOPT_URL, request->url);
    curl.set(easy, CURLOPT_HTTPHEADER, headers);
    curl.set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl.set(easy, CURLOPT_CONNECTTIMEOUT, request->connect_seconds);
    curl.set(easy, CURLOPT_LOW_SPEED_LIMIT, request->slowest_bytes_per_second);
    curl.set(easy, CURLOPT_LOW_SPEED_TIME, request->slow_seconds);
    curl.set(easy, CURLOPT_BUFFERSIZE, 512L << 10);
    curl.set(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    curl.set(easy, CURLOPT_HEADERFUNCTION, header);
    curl.set(easy, CURLOPT_HEADERDATA, &transfer);
    curl.set(easy, CURLOPT_WRITEFUNCTION, body);
    curl.set(easy, CURLOPT_WRITEDATA, &transfer);
    // As other tools are told of a bundle of their own.
    const char *bundle = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");
    if (bundle && *bundle) curl.set(easy, CURLOPT_CAINFO, bundle);
    if (directory && *directory) curl.set(easy, CURLOPT_CAPATH, directory);
    if (request->authorities) {
        struct curl_blob blob = {
            .data = (void *)request->authorities, .len = request->authorities_length, .flags = CURL_BLOB_COPY};
        curl.set(easy, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (request->client_certificate) curl.set(easy, CURLOPT_SSLCERT, request->client_certificate);
    if (request->client_key) curl.set(easy, CURLOPT_SSLKEY, request->client_key);
    if (!request->verify_peer) {
        curl.set(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl.set(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (request->body_size >= 0) {
        curl.set(easy, CURLOPT_UPLOAD, 1L);
        curl.set(easy, CURLOPT_READFUNCTION, source);
        curl.set(easy, CURLOPT_READDATA, &transfer);
        curl.set(easy, CURLOPT_SEEKFUNCTION, rewind_source);
        curl.set(easy, CURLOPT_SEEKDATA, &transfer);
        curl.set(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        curl.set(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl.set(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    CURLcode code = curl.perform(easy);
    curl.get(easy, CURLINFO_RESPONSE_CODE, &result.status);
    curl.free_list(headers);
    curl.set(easy, CURLOPT_ERRORBUFFER, NULL);
    result.outcome = outcome(code, transfer.refused);
    if (code != CURLE_OK) snprintf(result.message, sizeof result.message, "%s", words[0] ? words : curl.text(code));
    return result;
}
