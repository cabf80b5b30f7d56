/* libmodsecurity, driven as a web server would: the other side of what src/engine.rs does to our own engine.
 *
 *     libmodsecurity LIBRARY RULES
 *
 * The library is opened by its path, so that one driver serves every build of it; of its interface only what is stable since
 * 3.0.0 is used. Rules are loaded once. Then requests come on the standard input (src/wire.rs says how), each is played as often
 * as it asks for, and one line says what it took and what came of it. Time is that of this thread's processor: reading
 * requests and writing answers is not in it, opening and closing a transaction is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* modsecurity/intervention.h */
struct intervention {
    int status;
    int pause;
    char *url;
    char *log;
    int disruptive;
};

static void *(*init)(void);
static const char *(*who)(void *);
static void (*set_log)(void *, void (*)(void *, const void *));
static void *(*create_rules)(void);
static int (*add_file)(void *, const char *, const char **);
static void *(*begin)(void *, void *, void *);
static int (*connection)(void *, const char *, int, const char *, int);
static int (*uri)(void *, const char *, const char *, const char *);
static int (*field)(void *, const unsigned char *, size_t, const unsigned char *, size_t);
static int (*fields_done)(void *);
static int (*append)(void *, const unsigned char *, size_t);
static int (*body_done)(void *);
static int (*answer_field)(void *, const unsigned char *, size_t, const unsigned char *, size_t);
static int (*answer_fields_done)(void *, int, const char *);
static int (*answer_append)(void *, const unsigned char *, size_t);
static int (*answer_done)(void *);
static int (*decided)(void *, struct intervention *);
static int (*logged)(void *);
static void (*end)(void *);

struct bytes {
    uint32_t length;
    unsigned char *data;
};

struct pair {
    struct bytes name, value;
};

struct message {
    uint32_t count, tell, status;
    struct bytes method, target, version, body, answer_body;
    uint32_t fields, answer_fields;
    struct pair *field, *answer_field;
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why ? why : "");
    exit(1);
}

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) fail(name, "is not in the library");
    return found;
}

static void open_library(const char *path) {
    /* Its neighbours (a wheel brings its own curl and XML reader) are found by its own search path. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(path, dlerror());
    init = find(library, "msc_init");
    who = find(library, "msc_who_am_i");
    set_log = find(library, "msc_set_log_cb");
    create_rules = find(library, "msc_create_rules_set");
    add_file = find(library, "msc_rules_add_file");
    begin = find(library, "msc_new_transaction");
    connection = find(library, "msc_process_connection");
    uri = find(library, "msc_process_uri");
    field = find(library, "msc_add_n_request_header");
    fields_done = find(library, "msc_process_request_headers");
    append = find(library, "msc_append_request_body");
    body_done = find(library, "msc_process_request_body");
    answer_field = find(library, "msc_add_n_response_header");
    answer_fields_done = find(library, "msc_process_response_headers");
    answer_append = find(library, "msc_append_response_body");
    answer_done = find(library, "msc_process_response_body");
    decided = find(library, "msc_intervention");
    logged = find(library, "msc_process_logging");
    end = find(library, "msc_transaction_cleanup");
}

/* The log of the last play: its lines, without line ends of their own. */
static char *lines;
static size_t length, room;
static int keeps;

static void log_line(void *data, const void *text) {
    const char *line = text;
    size_t more = strlen(line);
    (void)data;
    if (!keeps) return;
    if (length + more + 2 > room) {
        room = 2 * (length + more + 2);
        lines = realloc(lines, room);
        if (!lines) fail("memory", "exhausted");
    }
    for (size_t i = 0; i < more; i++) lines[length++] = line[i] == '\n' ? ' ' : line[i];
    lines[length++] = '\n';
    lines[length] = 0;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int read_number(uint32_t *number) {
    unsigned char raw[4];
    if (fread(raw, 1, 4, stdin) != 4) return 0;
    *number = raw[0] | raw[1] << 8 | raw[2] << 16 | (uint32_t)raw[3] << 24;
    return 1;
}

static uint32_t number(void) {
    uint32_t value;
    if (!read_number(&value)) fail("request", "it ends early");
    return value;
}

static struct bytes string(void) {
    struct bytes text = {number(), NULL};
    text.data = malloc((size_t)text.length + 1);
    if (!text.data) fail("memory", "exhausted");
    if (fread(text.data, 1, text.length, stdin) != text.length) fail("request", "it ends early");
    text.data[text.length] = 0;
    return text;
}

static struct pair *pairs(uint32_t *count) {
    *count = number();
    struct pair *list = calloc(*count + 1, sizeof *list);
    if (!list) fail("memory", "exhausted");
    for (uint32_t i = 0; i < *count; i++) {
        list[i].name = string();
        list[i].value = string();
    }
    return list;
}

static void forget(struct pair *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free(list[i].name.data);
        free(list[i].value.data);
    }
    free(list);
}

/* The status of a refusal, 0 for none. What the rule that refuses says is in here and not in the log. */
static int stopped(void *transaction) {
    struct intervention it = {200, 0, NULL, NULL, 0};
    decided(transaction, &it);
    if (it.log) log_line(NULL, it.log);
    free(it.url);
    free(it.log);
    return it.disruptive ? it.status : 0;
}

/* One transaction. Phases after a refusal are left out, but the last: as connectors do. */
static int play(void *engine, void *rules, const struct message *it) {
    void *transaction = begin(engine, rules, NULL);
    int status = 0;
    connection(transaction, "127.0.0.1", 40000, "127.0.0.1", 443);
    uri(transaction, (char *)it->target.data, (char *)it->method.data, (char *)it->version.data);
    for (uint32_t i = 0; i < it->fields; i++) {
        const struct pair *one = &it->field[i];
        field(transaction, one->name.data, one->name.length, one->value.data, one->value.length);
    }
    fields_done(transaction);
    status = stopped(transaction);
    if (!status) {
        if (it->body.length) append(transaction, it->body.data, it->body.length);
        body_done(transaction);
        status = stopped(transaction);
    }
    if (!status && it->status) {
        for (uint32_t i = 0; i < it->answer_fields; i++) {
            const struct pair *one = &it->answer_field[i];
            answer_field(transaction, one->name.data, one->name.length, one->value.data, one->value.length);
        }
        answer_fields_done(transaction, (int)it->status, "HTTP/1.1");
        status = stopped(transaction);
        if (!status) {
            if (it->answer_body.length) answer_append(transaction, it->answer_body.data, it->answer_body.length);
            answer_done(transaction);
            status = stopped(transaction);
        }
    }
    logged(transaction);
    end(transaction);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage", "libmodsecurity LIBRARY RULES");
    open_library(argv[1]);
    uint64_t from = now();
    void *engine = init();
    set_log(engine, log_line);
    void *rules = create_rules();
    const char *why = NULL;
    if (add_file(rules, argv[2], &why) < 0) fail(argv[2], why);
    printf("ready %llu %s\n", (unsigned long long)(now() - from), who(engine));
    fflush(stdout);

    struct message it;
    while (read_number(&it.count)) {
        it.tell = number();
        it.method = string();
        it.target = string();
        it.version = string();
        it.field = pairs(&it.fields);
        it.body = string();
        it.status = number();
        it.answer_field = pairs(&it.answer_fields);
        it.answer_body = string();

        int status = 0;
        length = 0;
        keeps = 0;
        from = now();
        for (uint32_t i = 0; i < it.count; i++) status = play(engine, rules, &it);
        uint64_t took = now() - from;
        uint32_t told = 0;
        if (it.tell) {
            keeps = 1;
            status = play(engine, rules, &it);
            for (size_t i = 0; i < length; i++) told += lines[i] == '\n';
        }
        printf("%llu %d %u\n", (unsigned long long)took, status, told);
        if (told) fwrite(lines, 1, length, stdout);
        fflush(stdout);

        free(it.method.data);
        free(it.target.data);
        free(it.version.data);
        forget(it.field, it.fields);
        free(it.body.data);
        forget(it.answer_field, it.answer_fields);
        free(it.answer_body.data);
    }
    return 0;
}
