/* A cloud with only the image service, over real HTTP on loopback, for tests. */
#ifndef YUNDUO_TESTS_IMAGE_WORLD_H
#define YUNDUO_TESTS_IMAGE_WORLD_H

#include "api/config.h"
#include "http/client.h"

struct world {
    struct arena *arena;
    struct cloud_config config;
    struct store *store;
    struct api *api;
    struct http_server *server;
    struct http_client *client;
    char folder[128];
    unsigned port;   /* chosen before the configuration is read */
    struct buf body; /* of the last answer */
    struct http_reply reply;
    json_t *json; /* likewise, when it is JSON */
};

/* 'name' is the folder's; 'configure' may change the configuration first. */
struct world *world_new(const char *name, void (*configure)(struct world *w));
void world_free(struct world *w);

/* Tokens are "user/project/role,role". */
#define ALICE "alice/p-alice/member,reader"
#define BOB "bob/p-bob/member,reader"
#define ADMIN "root/p-admin/admin,member,reader"

/* Returns the status. 'type' null: JSON. */
int world_call(struct world *w, const char *token, const char *method, const char *path, const char *type,
               const void *body, size_t size);
int world_get(struct world *w, const char *token, const char *path);
int world_post(struct world *w, const char *token, const char *path, const char *json);
/* A new image of this JSON; its id, in the arena. */
const char *world_image(struct world *w, const char *token, const char *json);
int world_upload(struct world *w, const char *token, const char *id, const void *data, size_t n);
/* Waits until the image has this status (with a deadline); asserts it. */
void world_wait(struct world *w, const char *token, const char *id, const char *status);
const char *world_text(struct world *w, const char *key);
/* Files under the world's folder whose path has this in it. */
unsigned world_files(struct world *w, const char *part);

#endif
