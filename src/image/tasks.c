/*
 * Tasks: the records of work that takes time, the threads that do it, and the old task API.
 *
 * The queue is the store: a task that is "pending" waits. A thread claims one by making it
 * "processing" in a transaction. What was "processing" when the process died is made pending
 * again at the start, for all work may be repeated. Tasks that ended are kept two days.
 */
#include "image/internal.h"

#include "base/log.h"
#include "base/macro.h"

#include <errno.h>

LOG_MODULE("image.tasks");

#define THREADS 3

static const char *const STATUSES[] = { "pending", "processing", "success", "failure", NULL };

static const struct field TASK_FIELDS[] = {
    FIELD_ID(struct image_task),
    { "type", FIELD_STRING, offsetof(struct image_task, type), FILTER | SORT, .doc = "The type of task" },
    { "status", FIELD_STRING, offsetof(struct image_task, status), FILTER | SORT | INDEX, .values = STATUSES,
      .doc = "The current status of this task" },
    { "owner", FIELD_STRING, offsetof(struct image_task, owner), FILTER, .doc = "Its project" },
    { "image_id", FIELD_STRING, offsetof(struct image_task, image_id), FILTER | INDEX, .doc = "Its image" },
    { "user_id", FIELD_STRING, offsetof(struct image_task, user_id), 0, .doc = "Who asked" },
    { "request_id", FIELD_STRING, offsetof(struct image_task, request_id), 0, .doc = "By which request" },
    { "message", FIELD_STRING, offsetof(struct image_task, message), 0, .doc = "Why it failed" },
    { "input", FIELD_JSON, offsetof(struct image_task, input), 0, .doc = "What was asked" },
    { "result", FIELD_JSON, offsetof(struct image_task, result), 0, .doc = "What came of it" },
    { "token", FIELD_STRING, offsetof(struct image_task, token), SECRET,
      .doc = "The caller's, while it is needed" },
    { "created_at", FIELD_TIME, offsetof(struct image_task, created_at), FILTER | SORT,
      .doc = "When it was made" },
    { "updated_at", FIELD_TIME, offsetof(struct image_task, updated_at), FILTER | SORT,
      .doc = "Its last change" },
    { "expires_at", FIELD_TIME, offsetof(struct image_task, expires_at), FILTER,
      .doc = "When it will be removed" },
};
SCHEMA(IMAGE_TASK_SCHEMA, struct image_task, TASK_FIELDS);
const struct kind IMAGE_TASK_KIND = { .name = "image.task", .schema = &IMAGE_TASK_SCHEMA };

struct tasks {
    struct image_state *s;
    pthread_t threads[THREADS];
    size_t n;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned wakes;
    usec_t cache_due; /* monotonic; 0: nothing is to be cached */
    bool stop;
};

/* ---- the threads ---- */

static int claim_write(struct txn *t, void *arg)
{
    struct image_task **ret = arg, *task;
    struct query q = { .kind = &IMAGE_TASK_KIND, .limit = 1 };
    *ret = NULL;
    if (!query_where(&q, txn_arena(t), "status", Q_EQ, "pending") ||
        !query_sort(&q, txn_arena(t), "created_at", false))
        return -ENOMEM;
    int r = txn_find(t, &q, &task);
    if (r < 0 || !task)
        return r;
    task->status = "processing";
    task->updated_at = clock_wall();
    *ret = task;
    return txn_put(t, &IMAGE_TASK_KIND, task);
}

static bool pending(struct image_state *s, struct arena *a)
{
    _cleanup_(txn_donep) struct txn *t = NULL;
    struct image_task *task = NULL;
    return store_read(api_store(s->api), a, &t) < 0 ||
           txn_find_by(t, &IMAGE_TASK_KIND, "status", "pending", &task) < 0 || task;
}

static bool one(struct image_state *s)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct image_task *task = NULL;
    if (!a || !pending(s, a))
        return false;
    int r = store_write(api_store(s->api), a, claim_write, &task);
    if (r < 0 || !task)
        return false;
    r = import_run(s, a, task->head.id);
    if (r < 0)
        log_error("a task could not be ended", KV("task", task->head.id), KV("error", strerror(-r)));
    return true;
}

static void cache_now(struct image_state *s)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    int r = a ? cache_fill(s, a) : -ENOMEM;
    if (r < 0)
        log_warning("the cache could not be filled", KV("error", strerror(-r)));
}

static void *task_main(void *arg)
{
    struct tasks *t = arg;
    unsigned seen = 0;
    for (;;) {
        pthread_mutex_lock(&t->mutex);
        while (!t->stop && t->wakes == seen && !(t->cache_due && clock_mono() >= t->cache_due)) {
            usec_t due = t->cache_due;
            struct timespec until = { .tv_sec = due / SECONDS(1), .tv_nsec = due % SECONDS(1) * 1000 };
            if (due)
                (void)pthread_cond_timedwait(&t->cond, &t->mutex, &until);
            else
                (void)pthread_cond_wait(&t->cond, &t->mutex);
        }
        bool stop = t->stop, cache = t->cache_due && clock_mono() >= t->cache_due;
        seen = t->wakes;
        t->cache_due = cache ? 0 : t->cache_due;
        pthread_mutex_unlock(&t->mutex);
        if (cache && !stop)
            cache_now(t->s);
        if (stop)
            return NULL;
        while (one(t->s)) {
            pthread_mutex_lock(&t->mutex);
            stop = t->stop;
            pthread_mutex_unlock(&t->mutex);
            if (stop)
                return NULL;
        }
    }
}

int tasks_start(struct image_state *s)
{
    struct tasks *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->s = s;
    t->wakes = 1;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&t->cond, &mono);
    pthread_condattr_destroy(&mono);
    s->tasks = t;
    for (; t->n < THREADS; t->n++) {
        int r = pthread_create(&t->threads[t->n], NULL, task_main, t);
        if (r != 0)
            return -r;
    }
    return 0;
}

void tasks_wake(struct image_state *s)
{
    struct tasks *t = s->tasks;
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->wakes++;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

void tasks_cache(struct image_state *s)
{
    struct tasks *t = s->tasks;
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->cache_due = clock_mono() + CACHE_AFTER + SECONDS(1) / 10;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

void tasks_stop(struct image_state *s)
{
    struct tasks *t = TAKE_PTR(s->tasks);
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
    for (size_t k = 0; k < t->n; k++)
        pthread_join(t->threads[k], NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->cond);
    free(t);
}

static int recover_write(struct txn *t, void *arg)
{
    (void)arg;
    struct query q = { .kind = &IMAGE_TASK_KIND }, images = { .kind = &IMAGE_KIND };
    struct results l = {};
    struct condition *w = query_where(&images, txn_arena(t), "status", Q_IN, NULL);
    if (!w || !query_where(&q, txn_arena(t), "status", Q_EQ, "processing"))
        return -ENOMEM;
    int r = txn_list(t, &q, &l);
    for (size_t k = 0; r == 0 && k < l.n; k++) {
        struct image_task *task = l.v[k];
        task->status = "pending";
        r = txn_put(t, &IMAGE_TASK_KIND, task);
    }
    if (r != 0)
        return r;
    strv_add(txn_arena(t), &w->list, IMAGE_SAVING);
    strv_add(txn_arena(t), &w->list, IMAGE_UPLOADING);
    l = (struct results){};
    r = txn_list(t, &images, &l);
    for (size_t k = 0; r == 0 && k < l.n; k++) {
        struct image *i = l.v[k];
        if (i->staged)
            continue;
        i->status = IMAGE_QUEUED;
        r = image_save(t, i);
    }
    return r;
}

int import_recover(struct image_state *s)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    return a ? store_write(api_store(s->api), a, recover_write, NULL) : -ENOMEM;
}

/* ---- the API ---- */

static void put_time(struct json_out *o, const char *key, usec_t t)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, time_format(t, TIME_ISO_Z, text));
}

static void task_render(const struct image_task *t, struct json_out *o, bool whole)
{
    json_open_object(o);
    json_put_string(o, "id", t->head.id);
    json_put_string(o, "type", t->type);
    json_put_string(o, "status", t->status);
    json_put_string(o, "owner", t->owner);
    if (whole) {
        json_put_raw(o, "input", t->input);
        json_put_raw(o, "result", t->result);
        json_put_string(o, "message", str_or(t->message, ""));
        if (t->image_id)
            json_put_string(o, "image_id", t->image_id);
        if (t->request_id)
            json_put_string(o, "request_id", t->request_id);
        if (t->user_id)
            json_put_string(o, "user_id", t->user_id);
    }
    put_time(o, "created_at", t->created_at);
    put_time(o, "updated_at", t->updated_at);
    if (t->expires_at)
        put_time(o, "expires_at", t->expires_at);
    char link[64];
    snprintf(link, sizeof(link), "/v2/tasks/%s", t->head.id);
    json_put_string(o, "self", link);
    json_put_string(o, "schema", "/v2/schemas/task");
    json_close_object(o);
}

int images_tasks(struct call *c)
{
    struct image *i;
    struct query q = { .kind = &IMAGE_TASK_KIND };
    struct results l = {};
    int r = call_read(c);
    if (r == 0)
        r = image_find(c, call_param(c, "image_id"), &i);
    if (r == 0 && (!query_where(&q, c->arena, "image_id", Q_EQ, i->head.id) ||
                   !query_sort(&q, c->arena, "created_at", true)))
        r = -ENOMEM;
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r != 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "tasks");
    for (size_t k = 0; k < l.n; k++)
        task_render(l.v[k], &c->out, true);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int tasks_list(struct call *c)
{
    struct query q = { .kind = &IMAGE_TASK_KIND, .marker = call_arg(c, "marker") };
    struct results l = {};
    int64_t limit;
    const char *dir = str_or(call_arg(c, "sort_dir"), "desc"),
               *key = str_or(call_arg(c, "sort_key"), "created_at");
    int r = call_arg_int(c, "limit", 0, INT32_MAX, 25, &limit);
    if (r != 0)
        return r;
    if (!STREQ(dir, "asc") && !STREQ(dir, "desc"))
        return call_fault(c, 400, "BadRequest", "Invalid sort direction: %s", dir);
    const struct field *f = schema_field(&IMAGE_TASK_SCHEMA, key);
    if (!f || !(f->flags & SORT))
        return call_fault(c, 400, "BadRequest", "Invalid sort key: %s", key);
    q.limit = (size_t)MIN(MAX(limit, (int64_t)1), (int64_t)1000);
    static const char *const FILTERS[] = { "status", "type", "image_id", "owner" };
    for (size_t k = 0; k < ARRAY_SIZE(FILTERS); k++) {
        const char *v = call_arg(c, FILTERS[k]);
        if (v && !query_where(&q, c->arena, FILTERS[k], Q_EQ, v))
            return -ENOMEM;
    }
    if (!query_sort(&q, c->arena, key, STREQ(dir, "desc")))
        return -ENOMEM;
    r = call_read(c);
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r != 0)
        return r;
    if (l.marker_lost)
        return call_fault(c, 400, "BadRequest", "Invalid marker: no task with ID %s was found", q.marker);
    json_open_object(&c->out);
    json_put_array(&c->out, "tasks");
    for (size_t k = 0; limit && k < l.n; k++)
        task_render(l.v[k], &c->out, false);
    json_close_array(&c->out);
    json_put_string(&c->out, "first", "/v2/tasks");
    json_put_string(&c->out, "schema", "/v2/schemas/tasks");
    if (limit && l.n && l.more)
        json_put_string(&c->out, "next",
                        arena_printf(c->arena, "/v2/tasks?limit=%zu&sort_key=%s&sort_dir=%s&marker=%s",
                                     q.limit, key, dir, ((struct image_task *)l.v[l.n - 1])->head.id));
    json_close_object(&c->out);
    return 0;
}

int tasks_show(struct call *c)
{
    struct image_task *t;
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IMAGE_TASK_KIND, call_param(c, "task_id"), &t);
    if (r < 0)
        return r;
    if (!t)
        return call_fault(c, 404, "NotFound", "Failed to find task %s", call_param(c, "task_id"));
    task_render(t, &c->out, true);
    return 0;
}

int tasks_delete(struct call *c)
{
    http_set_header(c->http, "Allow", "GET");
    return call_fault(c, 405, "MethodNotAllowed",
                      "This operation is currently not permitted on Glance Tasks. They are "
                      "auto deleted after reaching the time based on their expires_at property.");
}

/* The import of old: makes the image too. It becomes a web-download like any other. */
struct create {
    struct image image;
    struct image_task task;
};

static int create_write(struct call *c)
{
    struct create *n = c->data;
    int r = image_quota(c->txn, n->image.owner, "image_count_total", 1, &c->fault);
    if (r == 0)
        r = txn_put(c->txn, &IMAGE_KIND, &n->image);
    if (r == 0)
        r = txn_put(c->txn, &IMAGE_TASK_KIND, &n->task);
    if (r == 0)
        task_render(&n->task, &c->out, true);
    return r;
}

int tasks_create(struct call *c)
{
    struct image_state *s = image_state(c->api);
    json_t *input = json_get_object(c->body, "input");
    const char *type = json_get_string(c->body, "type");
    if (!type || !input)
        return call_fault(c, 400, "BadRequest", "Task '%s' is required", type ? "input" : "type");
    if (!STREQ(type, "import"))
        return call_fault(c, 400, "BadRequest",
                          "Provided object does not match schema 'task': the type of a task is "
                          "'import'");
    const char *from = json_get_string(input, "import_from"),
               *format = json_get_string(input, "import_from_format");
    json_t *properties = json_get_object(input, "image_properties");
    if (!from || !format || !properties)
        return call_fault(c, 400, "BadRequest",
                          "Input does not contain 'import_from', 'import_from_format' and "
                          "'image_properties'");
    int r = web_check(s, from, &c->fault);
    struct create *n = ARENA_NEW(c->arena, struct create);
    if (r != 0 || !n)
        return r ? r : -ENOMEM;
    struct image *i = &n->image;
    usec_t now = clock_wall();
    const char *task_id = uuid_new(c->arena);
    *i = (struct image){ .head.id = uuid_new(c->arena),
                         .status = IMAGE_IMPORTING,
                         .visibility = "shared",
                         .owner = c->auth->project_id,
                         .size = INT_NULL,
                         .virtual_size = INT_NULL,
                         .created_at = now,
                         .updated_at = now,
                         .imported = true,
                         .import_task = task_id };
    strv_add(c->arena, &i->importing, s->stores[0]->id);
    const char *key;
    json_t *v;
    _cleanup_(json_decrefp) json_t *base = json_object();
    json_object_foreach(properties, key, v)
    {
        r = image_name_writable(c, key);
        if (r != 0)
            return r;
        if (image_is_base(key) && !STREQ(key, "id") && !STREQ(key, "owner"))
            json_object_set(base, key, v);
        else if (json_is_string(v))
            strmap_set(c->arena, &i->properties, key, json_string_value(v));
    }
    r = image_apply(c, i, base);
    if (r == 0)
        r = image_check(c, i, NULL);
    if (r != 0)
        return r;
    i->disk_format = str_or(i->disk_format, arena_strdup(c->arena, format));
    i->container_format = str_or(i->container_format, "bare");
    _cleanup_(json_decrefp) json_t *request =
        json_pack("{s:s, s:{s:{s:s, s:s}}, s:O}", "image_id", i->head.id, "import_req", "method", "name",
                  "web-download", "uri", from, "asked", input);
    n->task = (struct image_task){
        .head.id = task_id,
        .type = "import",
        .status = "pending",
        .owner = c->auth->project_id,
        .image_id = i->head.id,
        .user_id = c->auth->user_id,
        .request_id = arena_strdup(c->arena, c->http->id),
        .message = "",
        .input = request ? json_text(c->arena, request) : NULL,
        .created_at = now,
        .updated_at = now,
    };
    if (!n->task.input)
        return -ENOMEM;
    c->data = n;
    r = call_write(c, create_write);
    if (r == 0) {
        http_set_header(c->http, "Location",
                        arena_printf(c->arena, "%s/v2/tasks/%s", call_base_url(c), task_id));
        tasks_wake(s);
    }
    return r;
}
