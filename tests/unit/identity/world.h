/* A cloud with only identity, seeded, over real HTTP on loopback; its time stands still. */
#ifndef YUNDUO_TESTS_IDENTITY_WORLD_H
#define YUNDUO_TESTS_IDENTITY_WORLD_H

#include "api/config.h"
#include "http/client.h"
#include "identity/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct world {
    struct arena *arena;
    struct cloud_config config;
    struct store *store;
    struct api *api;
    struct http_server *server;
    struct http_client *client;
    struct buf body; /* of the last answer */
    struct http_reply reply;
    json_t *json;        /* likewise; null when there was none */
    const char *admin;   /* a token of the administrator's on project admin */
    const char *subject; /* X-Subject-Token of the next call */
};

/* 'configure' may change the configuration first; null: bcrypt is as cheap as can be, that's all. */
struct world *world_new(void (*configure)(struct cloud_config *c));
void world_free(struct world *w);

/* Path below /identity/v3; printf. Returns the status. 'body' is JSON with ' for ", or null. */
int call(struct world *w, const char *token, const char *method, const char *body, const char *path, ...)
    _printf_(5, 6);
/* The same with a status that it must be. */
#define EXPECT(w, status, ...)                                                                               \
    do {                                                                                                     \
        int status_ = call((w), __VA_ARGS__);                                                                \
        if (status_ != (status))                                                                             \
            fail_msg("line %d: %d, not %d: %s", __LINE__, status_, (status), buf_text(&(w)->body));          \
    } while (0)

/* Text at a path of keys and indexes, "user.id", "roles.0.name"; null when there is none. */
const char *text_at(struct world *w, const char *path);
json_t *node_at(struct world *w, const char *path);
/* How many elements the list has. */
size_t count_at(struct world *w, const char *path);
/* Whether an object of the list has this text under the key. */
bool list_has(struct world *w, const char *list, const char *key, const char *value);

/* Makes one and returns its id. 'body' as in call(). */
const char *make(struct world *w, const char *many, const char *one, const char *body, ...) _printf_(4, 5);
/* A token or null, with the status in w->reply. Scope as JSON, "'project': {'id': ...}"; null: none said. */
const char *login(struct world *w, const char *user_id, const char *password, const char *scope, ...)
    _printf_(4, 5);
const char *rescope(struct world *w, const char *token, const char *scope, ...) _printf_(3, 4);
const char *role_id(struct world *w, const char *name);
void grant(struct world *w, const char *where, const char *target, const char *user, const char *role);
const char *format(struct world *w, const char *text, ...) _printf_(2, 3);
/* 200 when it is good, else 404. */
int validate(struct world *w, const char *token);

#endif
