/*
 * What other services call: see image.h.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <inttypes.h>

static void to_view(const struct image *i, struct image_view *v)
{
    *v = (struct image_view){
        .id = i->head.id,
        .name = i->name,
        .status = i->status,
        .owner = i->owner,
        .visibility = i->visibility,
        .disk_format = i->disk_format,
        .container_format = i->container_format,
        .checksum = i->checksum,
        .hash_algo = i->hash_algo,
        .hash_value = i->hash_value,
        .size = i->size,
        .virtual_size = i->virtual_size,
        .min_disk = i->min_disk,
        .min_ram = i->min_ram,
        .protected = i->protected,
        .hidden = i->hidden,
        .created_at = i->created_at,
        .updated_at = i->updated_at,
        .tags = i->tags,
        .properties = i->properties,
    };
}

int image_get(struct txn *t, const char *project_id, bool admin, const char *id, struct image_view **ret,
              struct fault *fault)
{
    struct image *i;
    int r = txn_get(t, &IMAGE_KIND, id, &i);
    if (r < 0)
        return r;
    if (!i || !image_visible_to(i, project_id, admin))
        return fault_set(fault, 404, "ImageNotFound", "Image %s could not be found.", id);
    struct image_view *v = ARENA_NEW(txn_arena(t), struct image_view);
    if (!v)
        return -ENOMEM;
    to_view(i, v);
    *ret = v;
    return 0;
}

int image_create(struct txn *t, const struct image_new *n, const char **ret_id, struct fault *fault)
{
    int r = image_quota(t, n->owner, "image_count_total", 1, fault);
    if (r != 0)
        return r;
    struct image i = {
        .head.id = uuid_new(txn_arena(t)),
        .name = n->name,
        .owner = n->owner,
        .status = IMAGE_QUEUED,
        .visibility = str_or(n->visibility, "private"),
        .disk_format = n->disk_format,
        .container_format = n->container_format,
        .min_disk = n->min_disk,
        .min_ram = n->min_ram,
        .size = INT_NULL,
        .virtual_size = INT_NULL,
        .from_host = n->from_host,
        .created_at = clock_wall(),
        .updated_at = clock_wall(),
    };
    if (n->properties)
        i.properties = *n->properties;
    *ret_id = i.head.id;
    return txn_put(t, &IMAGE_KIND, &i);
}

_Atomic bool image_removed_elsewhere;

static int drop(struct txn *t, const char *id)
{
    int r = txn_delete(t, &IMAGE_CACHED_KIND, id);
    return r < 0 ? r : txn_delete(t, &IMAGE_KIND, id);
}

int image_remove(struct txn *t, const char *id)
{
    image_removed_elsewhere = true;
    return drop(t, id);
}

static int where(struct query *q, struct arena *a, const char *field, enum query_op op, const char *text,
                 unsigned any)
{
    struct condition *w = query_where(q, a, field, op, text);
    if (!w)
        return -ENOMEM;
    w->any = any;
    return 0;
}

static int filter(struct query *q, struct arena *a, const struct image_filter *f)
{
    int r = 0;
    if (f->name)
        r = where(q, a, "name", Q_EQ, f->name, 0);
    if (r == 0 && f->statuses.n) {
        struct condition *w = query_where(q, a, "status", Q_IN, NULL);
        r = w ? 0 : -ENOMEM;
        if (w)
            w->list = f->statuses;
    }
    if (r == 0 && f->changed_since)
        r = where(q, a, "updated_at", Q_GE, arena_printf(a, "%" PRId64, f->changed_since), 0);
    VEC_FOREACH (p, &f->properties)
        if (r == 0)
            r = where(q, a, "property", Q_KEY, arena_printf(a, "%s=%s", p->key, p->value), 0);
    return r;
}

int image_list(struct txn *t, const char *project_id, bool admin, const struct image_filter *f,
               struct image_views *ret)
{
    struct arena *a = txn_arena(t);
    struct query q = { .kind = &IMAGE_KIND, .marker = f->marker, .limit = f->limit };
    struct results l = {};
    int r = where(&q, a, "os_hidden", Q_EQ, "false", 0);
    if (r == 0 && !admin) {
        r = where(&q, a, "visibility", Q_EQ, "public", 1);
        if (r == 0)
            r = where(&q, a, "owner", Q_EQ, str_or(project_id, ""), 1);
        if (r == 0)
            r = where(&q, a, "member_status", Q_KEY, arena_printf(a, "%s/accepted", str_or(project_id, "")),
                      1);
    }
    if (r == 0)
        r = filter(&q, a, f);
    if (r == 0 && (!query_sort(&q, a, "created_at", true) || !query_sort(&q, a, "id", true)))
        r = -ENOMEM;
    if (r == 0)
        r = txn_list(t, &q, &l);
    for (size_t k = 0; r == 0 && k < l.n; k++) {
        struct image_view *v = vec_add(a, &ret->list);
        if (!v)
            return -ENOMEM;
        to_view(l.v[k], v);
    }
    ret->more = l.more;
    ret->marker_lost = l.marker_lost;
    return r;
}

/* The image of this id that the project may change. */
static int own(struct txn *t, const char *project_id, bool admin, const char *id, struct image **ret,
               struct fault *fault)
{
    int r = txn_get(t, &IMAGE_KIND, id, ret);
    if (r < 0)
        return r;
    if (!*ret || !image_visible_to(*ret, project_id, admin))
        return fault_set(fault, 404, "ImageNotFound", "Image %s could not be found.", id);
    if (!admin && !str_eq((*ret)->owner, project_id))
        return fault_set(fault, 403, "Forbidden", "You are not permitted to modify image %s.", id);
    return 0;
}

int image_set_properties(struct txn *t, const char *project_id, bool admin, const char *id,
                         const struct strmap *properties, bool replace, struct image_view **ret,
                         struct fault *fault)
{
    struct image *i;
    int r = own(t, project_id, admin, id, &i, fault);
    if (r != 0)
        return r;
    if (replace)
        i->properties = (struct strmap){};
    VEC_FOREACH (p, properties) {
        if (!p->value) {
            (void)strmap_drop(&i->properties, p->key);
            continue;
        }
        if (image_is_base(p->key) || str_starts(p->key, "os_glance"))
            return fault_set(fault, 400, "BadRequest", "The name %s is taken by the service.", p->key);
        if (!strmap_set(txn_arena(t), &i->properties, p->key, p->value))
            return -ENOMEM;
    }
    if (i->properties.n > IMAGE_PROPERTIES_MAX)
        return fault_set(fault, 413, "LimitExceeded", "An image has at most %d properties.",
                         IMAGE_PROPERTIES_MAX);
    struct image_view *v = ARENA_NEW(txn_arena(t), struct image_view);
    r = v ? image_save(t, i) : -ENOMEM;
    if (r == 0) {
        to_view(i, v);
        *ret = v;
    }
    return r;
}

struct deletion {
    const char *id, *project_id;
    bool admin;
    struct image *image;
    struct fault *fault;
};

static int delete_write(struct txn *t, void *arg)
{
    struct deletion *d = arg;
    int r = own(t, d->project_id, d->admin, d->id, &d->image, d->fault);
    if (r != 0)
        return r;
    if (d->image->protected)
        return fault_set(d->fault, 403, "Forbidden", "Image %s is protected and cannot be deleted.", d->id);
    return drop(t, d->id);
}

int image_delete(struct api *api, struct arena *a, const char *project_id, bool admin, const char *id,
                 struct fault *fault)
{
    struct deletion d = { .id = id, .project_id = project_id, .admin = admin, .fault = fault };
    int r = store_write(api_store(api), a, delete_write, &d);
    if (r == 0)
        image_collect(image_state(api), d.image);
    return r;
}
