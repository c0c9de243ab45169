/*
 * What the service says of itself: versions, JSON schemas, import methods, stores.
 *
 * The schemas of images and tasks are made from their declarations, so they can't differ from
 * what is stored and rendered. Clients (the glance command) validate replies against them.
 */
#include "image/internal.h"

#include "base/macro.h"

/* ---- versions ---- */

int versions_show(struct call *c)
{
    const char *base = call_base_url(c);
    json_open_object(&c->out);
    json_put_array(&c->out, "versions");
    for (int minor = 16; minor >= 0; minor--) {
        char id[16];
        snprintf(id, sizeof(id), "v2.%d", minor);
        json_open_object(&c->out);
        json_put_string(&c->out, "id", id);
        json_put_string(&c->out, "status", minor == 16 ? "CURRENT" : "SUPPORTED");
        json_put_array(&c->out, "links");
        json_open_object(&c->out);
        json_put_string(&c->out, "rel", "self");
        json_put_string(&c->out, "href", arena_printf(c->arena, "%s/v2/", base));
        json_close_object(&c->out);
        json_close_array(&c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- schemas ---- */

static bool nullable(const struct field *f)
{
    static const char *const ALWAYS[] = { "id",       "status",  "visibility", "created_at", "updated_at",
                                          "min_disk", "min_ram", "type",       "owner" };
    if (f->flags & NULLABLE)
        return true;
    for (size_t k = 0; k < ARRAY_SIZE(ALWAYS); k++)
        if (STREQ(ALWAYS[k], f->name))
            return false;
    return f->type == FIELD_STRING || f->type == FIELD_INT;
}

static void write_property(const struct field *f, struct json_out *o)
{
    const char *type = f->type == FIELD_INT       ? "integer"
                       : f->type == FIELD_BOOL    ? "boolean"
                       : f->type == FIELD_STRINGS ? "array"
                       : f->type == FIELD_JSON    ? "object"
                                                  : "string";
    bool null = nullable(f) || f->type == FIELD_JSON;
    json_put_object(o, f->name);
    if (null) {
        json_put_array(o, "type");
        json_string_out(o, "null");
        json_string_out(o, type);
        json_close_array(o);
    } else {
        json_put_string(o, "type", type);
    }
    json_put_string(o, "description", f->doc);
    if (STREQ(f->name, "id"))
        json_put_string(o, "pattern",
                        "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-"
                        "([0-9a-fA-F]){12}$");
    else if (!(f->flags & (IN_CREATE | IN_UPDATE)))
        json_put_bool(o, "readOnly", true);
    if (f->values) {
        json_put_array(o, "enum");
        if (null)
            json_null_out(o);
        for (const char *const *v = f->values; *v; v++)
            json_string_out(o, *v);
        json_close_array(o);
    } else if (f->type == FIELD_STRING && f->max) {
        json_put_int(o, "maxLength", f->max);
    }
    if (f->type == FIELD_STRINGS) {
        json_put_object(o, "items");
        json_put_string(o, "type", "string");
        json_put_int(o, "maxLength", f->max);
        json_close_object(o);
    }
    json_close_object(o);
}

static const char IMAGE_EXTRA[] =
    "\"direct_url\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"URL to access the image file "
    "kept in "
    "external store\"},\"self\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"An image self "
    "url\"},"
    "\"file\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"An image file url\"},"
    "\"schema\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"An image schema url\"},"
    "\"stores\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"Stores in which image data resides, "
    "comma "
    "separated.\"},"
    "\"locations\":{\"type\":\"array\",\"description\":\"A set of URLs to access the image file kept in "
    "external "
    "store\",\"items\":{\"type\":\"object\",\"required\":[\"url\",\"metadata\"],\"properties\":{"
    "\"url\":{\"type\":\"string\",\"maxLength\":255},\"metadata\":{\"type\":\"object\"},"
    "\"validation_data\":{\"type\":\"object\",\"writeOnly\":true,\"additionalProperties\":false,"
    "\"required\":[\"os_hash_algo\",\"os_hash_value\"],\"properties\":{"
    "\"checksum\":{\"type\":\"string\",\"minLength\":32,\"maxLength\":32},"
    "\"os_hash_algo\":{\"type\":\"string\",\"maxLength\":64},"
    "\"os_hash_value\":{\"type\":\"string\",\"maxLength\":128}}}}}}";
static const char IMAGE_LINKS[] =
    "[{\"rel\":\"self\",\"href\":\"{self}\"},{\"rel\":\"enclosure\",\"href\":\"{file}\"},"
    "{\"rel\":\"describedby\",\"href\":\"{schema}\"}]";
static const char LIST_LINKS[] =
    "[{\"rel\":\"first\",\"href\":\"{first}\"},{\"rel\":\"next\",\"href\":\"{next}\"},"
    "{\"rel\":\"describedby\",\"href\":\"{schema}\"}]";

#define TEXT(name) "\"" name "\":{\"type\":\"string\"}"
#define READ_ONLY_TEXT(name) "\"" name "\":{\"type\":\"string\",\"readOnly\":true}"
#define TIMES READ_ONLY_TEXT("created_at") "," READ_ONLY_TEXT("updated_at")
#define SELF READ_ONLY_TEXT("self") "," READ_ONLY_TEXT("schema")
#define PROPERTY_TYPES "[\"array\",\"boolean\",\"integer\",\"number\",\"object\",\"string\",null]"
#define PROPERTY_ROWS                                                                                        \
    "\"name\":{\"type\":\"string\",\"maxLength\":255},\"title\":{\"type\":\"string\"},"                      \
    "\"description\":{\"type\":\"string\"},\"operators\":{\"type\":\"array\",\"items\":{\"type\":"           \
    "\"string\"}},"                                                                                          \
    "\"type\":{\"type\":\"string\",\"enum\":" PROPERTY_TYPES "},\"required\":{\"type\":\"array\",\"items\":" \
    "{\"type\":\"string\"}},\"minimum\":{\"type\":\"number\"},\"maximum\":{\"type\":\"number\"},"            \
    "\"maxLength\":{\"type\":\"integer\"},\"minLength\":{\"type\":\"integer\"},\"pattern\":{\"type\":"       \
    "\"string\"},"                                                                                           \
    "\"enum\":{\"type\":\"array\"},\"readonly\":{\"type\":\"boolean\"},\"default\":{},\"items\":{\"type\":"  \
    "\"object\"},"                                                                                           \
    "\"maxItems\":{\"type\":\"integer\"},\"minItems\":{\"type\":\"integer\"},\"uniqueItems\":{\"type\":"     \
    "\"boolean\"},"                                                                                          \
    "\"additionalItems\":{\"type\":\"boolean\"}"
#define OBJECT_ROWS                                                                                          \
    "\"name\":{\"type\":\"string\",\"maxLength\":255},\"description\":{\"type\":\"string\"},"                \
    "\"required\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"properties\":{\"type\":\"object\"," \
    "\"additionalProperties\":{\"type\":\"object\"}}," TIMES "," SELF
#define TYPE_ROWS                                                                                            \
    "\"name\":{\"type\":\"string\",\"maxLength\":80},\"prefix\":{\"type\":\"string\",\"maxLength\":80},"     \
    "\"properties_target\":{\"type\":\"string\",\"maxLength\":80}," TIMES
#define TAG_ROWS "\"name\":{\"type\":\"string\",\"maxLength\":80}," TIMES
#define NAMESPACE_ROWS                                                                                       \
    "\"namespace\":{\"type\":\"string\",\"maxLength\":80},\"display_name\":{\"type\":\"string\","            \
    "\"maxLength\":80},"                                                                                     \
    "\"description\":{\"type\":\"string\",\"maxLength\":500},"                                               \
    "\"visibility\":{\"type\":\"string\",\"enum\":[\"public\",\"private\"]},\"protected\":{\"type\":"        \
    "\"boolean\"},"                                                                                          \
    "\"owner\":{\"type\":\"string\",\"maxLength\":255}," TIMES "," SELF ","                                  \
    "\"resource_type_associations\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":"      \
    "{" TEXT("name") "," TEXT("prefix") "," TEXT(                                                            \
        "properties_target") "}}},"                                                                          \
                             "\"properties\":{\"type\":\"object\",\"additionalProperties\":{\"type\":"       \
                             "\"object\"}},"                                                                 \
                             "\"objects\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"             \
                             "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":"   \
                             "{" TEXT("name") "}}}"

static const struct description {
    const char *path;
    const char *name, *many;   /* of the schema; 'many' set: a collection of 'name' */
    const struct schema *rows; /* or */
    const char *text;
    const char *extra, *links;
    bool permissive, dictionary;
    const char *required;
} DESCRIPTIONS[] = {
    { "image", "image", NULL, &IMAGE_SCHEMA, NULL, IMAGE_EXTRA, IMAGE_LINKS, true },
    { "images", "image", "images", &IMAGE_SCHEMA, NULL, IMAGE_EXTRA, IMAGE_LINKS, true },
    { "member", "member", NULL, NULL,
      TEXT("member_id") "," TEXT("image_id") ",\"status\":{\"type\":\"string\","
                                             "\"enum\":[\"pending\",\"accepted\",\"rejected\"]}," TIMES
                                             "," READ_ONLY_TEXT("schema") },
    { "members", "member", "members", NULL,
      TEXT("member_id") "," TEXT("image_id") ",\"status\":{\"type\":\"string\","
                                             "\"enum\":[\"pending\",\"accepted\",\"rejected\"]}," TIMES
                                             "," READ_ONLY_TEXT("schema") },
    { "task", "task", NULL, &IMAGE_TASK_SCHEMA, NULL, SELF, NULL },
    { "tasks", "task", "tasks", &IMAGE_TASK_SCHEMA, NULL, SELF, NULL },
    { "metadefs/namespace", "namespace", NULL, NULL, NAMESPACE_ROWS, .required = "[\"namespace\"]" },
    { "metadefs/namespaces", "namespace", "namespaces", NULL, NAMESPACE_ROWS, .required = "[\"namespace\"]" },
    { "metadefs/resource_type", "resource_type_association", NULL, NULL, TYPE_ROWS,
      .required = "[\"name\"]" },
    { "metadefs/resource_types", "resource_type_association", "resource_type_associations", NULL, TYPE_ROWS,
      .required = "[\"name\"]" },
    { "metadefs/property", "property", NULL, NULL, PROPERTY_ROWS,
      .required = "[\"name\",\"title\",\"type\"]" },
    { "metadefs/properties", "property", "properties", NULL, PROPERTY_ROWS, .dictionary = true,
      .required = "[\"title\",\"type\"]" },
    { "metadefs/object", "object", NULL, NULL, OBJECT_ROWS, .required = "[\"name\"]" },
    { "metadefs/objects", "object", "objects", NULL, OBJECT_ROWS, .required = "[\"name\"]" },
    { "metadefs/tag", "tag", NULL, NULL, TAG_ROWS, .required = "[\"name\"]" },
    { "metadefs/tags", "tag", "tags", NULL, TAG_ROWS, .required = "[\"name\"]" },
};

static void write_one(const struct description *d, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "name", d->name);
    json_put_object(o, "properties");
    for (size_t k = 0; d->rows && k < d->rows->n; k++) {
        const struct field *f = &d->rows->fields[k];
        if (!(f->flags & (HIDDEN | SECRET)) && f->type != FIELD_OBJECTS && f->type != FIELD_MAP &&
            (f->type != FIELD_STRINGS || f->flags & IN_CREATE))
            write_property(f, o);
    }
    const char *more = d->text ? d->text : d->extra;
    if (more) {
        if (o->comma)
            buf_addc(o->buf, ',');
        buf_adds(o->buf, more);
        o->comma = true;
    }
    json_close_object(o);
    if (d->permissive) {
        json_put_object(o, "additionalProperties");
        json_put_string(o, "type", "string");
        json_close_object(o);
    } else {
        json_put_bool(o, "additionalProperties", false);
    }
    if (d->required)
        json_put_raw(o, "required", d->required);
    if (d->links)
        json_put_raw(o, "links", d->links);
    json_close_object(o);
}

static int show(struct call *c, const char *path)
{
    const struct description *d = NULL;
    for (size_t k = 0; path && !d && k < ARRAY_SIZE(DESCRIPTIONS); k++)
        if (STREQ(DESCRIPTIONS[k].path, path))
            d = &DESCRIPTIONS[k];
    if (!d)
        return call_fault(c, 404, "NotFound", "There is no schema %s.", str_or(path, ""));
    if (!d->many) {
        write_one(d, &c->out);
        return 0;
    }
    json_open_object(&c->out);
    json_put_string(&c->out, "name", d->many);
    json_put_object(&c->out, "properties");
    json_put_object(&c->out, d->many);
    json_put_string(&c->out, "type", d->dictionary ? "object" : "array");
    json_key(&c->out, d->dictionary ? "additionalProperties" : "items");
    write_one(d, &c->out);
    json_close_object(&c->out);
    json_put_raw(&c->out, "first", "{\"type\":\"string\"}");
    json_put_raw(&c->out, "next", "{\"type\":\"string\"}");
    json_put_raw(&c->out, "schema", "{\"type\":\"string\"}");
    json_close_object(&c->out);
    json_put_raw(&c->out, "links", LIST_LINKS);
    json_close_object(&c->out);
    return 0;
}

int schema_show(struct call *c)
{
    return show(c, call_param(c, "name"));
}

int schema_show_metadef(struct call *c)
{
    return show(c, arena_printf(c->arena, "metadefs/%s", call_param(c, "name")));
}

/* ---- discovery ---- */

int info_import(struct call *c)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "import-methods");
    json_put_string(&c->out, "description", "Import methods available.");
    json_put_string(&c->out, "type", "array");
    json_put_strings(&c->out, "value", &image_state(c->api)->methods);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int stores(struct call *c, bool detail)
{
    const struct image_state *s = image_state(c->api);
    json_open_object(&c->out);
    json_put_array(&c->out, "stores");
    for (size_t k = 0; k < s->n_stores; k++) {
        struct blob_store *b = s->stores[k];
        json_open_object(&c->out);
        json_put_string(&c->out, "id", b->id);
        if (!str_empty(b->description))
            json_put_string(&c->out, "description", b->description);
        if (k == 0)
            json_put_string(&c->out, "default", "true");
        if (b->read_only)
            json_put_string(&c->out, "read-only", "true");
        if (detail) {
            struct blob_usage u = {};
            json_put_string(&c->out, "type", b->class->kind);
            json_put_object(&c->out, "properties");
            if (b->class->usage(b, &u) == 0) {
                json_put_int(&c->out, "total_bytes", (int64_t)u.total);
                json_put_int(&c->out, "free_bytes", (int64_t)u.free);
            }
            json_put_bool(&c->out, "thin_provisioning", false);
            json_close_object(&c->out);
        }
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int info_stores(struct call *c)
{
    return stores(c, false);
}

int info_stores_detail(struct call *c)
{
    return stores(c, true);
}
