/* core/text/json_steps.c - see json_steps.h. Sequences hold sequences: how deep is bounded. */
#include "core/text/json_steps.h"
#include "core/text/known_patterns.h"
#include <string.h>

enum { DEPTH_MAX = 8 };

const char *json_component_type(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));

    return type ? type : "(no type)";
}

int json_component_refuse(struct err *err, const char *what, const char *name)
{
    return err_set(err, ERR_UNSUPPORTED, "the %s '%.60s' is not supported", what, name);
}

static int too_deep(struct err *err, const char *what)
{
    return err_set(err, ERR_UNSUPPORTED, "the %s has sequences in sequences, more than %d deep",
                   what, DEPTH_MAX);
}

static int add_replace(struct tokenizer *t, const json_t *step, struct err *err)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const char *what = json_string_value(json_object_get(pattern, "String"));
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *by = json_string_value(json_object_get(step, "content"));

    if ((!what && !regex) || !by)
        return err_set(err, ERR_INVALID, "the normalizer Replace has no pattern or no content");
    if (regex)
        return normalizer_add_replace_pattern(&t->normalizer, regex, by, err);
    return normalizer_add_replace(&t->normalizer, what, by, err);
}

static int add_strip(struct tokenizer *t, const json_t *step, struct err *err)
{
    const json_t *left = json_object_get(step, "strip_left");
    const json_t *right = json_object_get(step, "strip_right");

    if (!json_is_boolean(left) || !json_is_boolean(right))
        return err_set(err, ERR_INVALID,
                       "the normalizer Strip must have strip_left and strip_right, true or false");
    return normalizer_add_strip(&t->normalizer, json_is_true(left), json_is_true(right), err);
}

/* Whether the type names a normal form. */
static bool find_form(const char *type, enum unicode_form *ret)
{
    static const char *const names[] = {
        [UNICODE_NFC] = "NFC",
        [UNICODE_NFD] = "NFD",
        [UNICODE_NFKC] = "NFKC",
        [UNICODE_NFKD] = "NFKD",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], type) == 0) {
            *ret = (enum unicode_form)i;
            return true;
        }
    return false;
}

static int add_normalizer(struct tokenizer *t, const json_t *normalizer, int depth, struct err *err)
{
    const char *type = json_component_type(normalizer);
    const char *text = json_string_value(json_object_get(normalizer, "prepend"));
    const json_t *list = json_object_get(normalizer, "normalizers");
    enum unicode_form form = UNICODE_NFC;
    json_t *each;
    size_t i;
    int rc = 0;

    if (depth > DEPTH_MAX)
        return too_deep(err, "normalizer");
    if (strcmp(type, "Prepend") == 0 && text)
        return normalizer_add_prepend(&t->normalizer, text, err);
    if (strcmp(type, "Replace") == 0)
        return add_replace(t, normalizer, err);
    if (find_form(type, &form))
        return normalizer_add_form(&t->normalizer, form, err);
    if (strcmp(type, "Lowercase") == 0)
        return normalizer_add_lower(&t->normalizer, err);
    if (strcmp(type, "Strip") == 0)
        return add_strip(t, normalizer, err);
    if (strcmp(type, "Sequence") != 0 || !json_is_array(list))
        return json_component_refuse(err, "normalizer", type);
    json_array_foreach(list, i, each)
    {
        rc = add_normalizer(t, each, depth + 1, err);
        if (rc < 0)
            break;
    }
    return rc;
}

int json_steps_add_normalizer(struct tokenizer *t, const json_t *normalizer, struct err *err)
{
    return json_is_set(normalizer) ? add_normalizer(t, normalizer, 0, err) : 0;
}

static int find_behaviour(const json_t *step, enum split_behaviour *ret, struct err *err)
{
    static const char *const names[] = {
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_WITH_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_WITH_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    const char *name = json_string_value(json_object_get(step, "behavior"));

    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum split_behaviour)i;
            return 0;
        }
    return json_component_refuse(err, "behavior of the pre-tokenizer Split",
                                 name ? name : "(none is given)");
}

static int add_split(struct tokenizer *t, const json_t *step, struct err *err)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *literal = json_string_value(json_object_get(pattern, "String"));
    enum split_behaviour behaviour = SPLIT_ISOLATED;
    int rc = find_behaviour(step, &behaviour, err);

    if (!regex && !literal)
        return err_set(err, ERR_INVALID, "the pre-tokenizer Split has no pattern");
    if (rc < 0)
        return rc;
    return pretokenizer_add(&t->pre, regex ? regex : literal, !regex, behaviour,
                            json_is_true(json_object_get(step, "invert")), err);
}

static int add_byte_level(struct tokenizer *t, const json_t *step, struct err *err)
{
    const json_t *use_regex = json_object_get(step, "use_regex");
    int rc = 0;

    if (json_is_true(json_object_get(step, "add_prefix_space")))
        rc = pretokenizer_add_blank(&t->pre, err);
    if (rc == 0 && !json_is_false(use_regex)) /* files of before 2022 lack it: true */
        rc = pretokenizer_add(&t->pre, known_gpt2, false, SPLIT_ISOLATED, false, err);
    return rc;
}

/* prepend_scheme, or in files of before 2023 add_prefix_space. */
static int find_prefix(const json_t *step, enum meta_prefix *ret, struct err *err)
{
    const json_t *older = json_object_get(step, "add_prefix_space");
    const char *scheme = json_string_value(json_object_get(step, "prepend_scheme"));

    *ret = META_ALWAYS;
    if (!scheme && json_is_false(older))
        *ret = META_NEVER;
    if (!scheme || strcmp(scheme, "always") == 0)
        return 0;
    *ret = strcmp(scheme, "first") == 0 ? META_FIRST : META_NEVER;
    if (*ret == META_FIRST || strcmp(scheme, "never") == 0)
        return 0;
    return json_component_refuse(err, "prepend_scheme of the pre-tokenizer Metaspace", scheme);
}

static int add_meta(struct tokenizer *t, const json_t *step, struct err *err)
{
    const char *by = json_string_value(json_object_get(step, "replacement"));
    bool split = !json_is_false(json_object_get(step, "split"));
    enum meta_prefix prefix = META_ALWAYS;
    int rc = find_prefix(step, &prefix, err);

    if (!by || !*by)
        return err_set(err, ERR_INVALID, "the pre-tokenizer Metaspace has no replacement");
    if (rc == 0)
        rc = pretokenizer_add_meta(&t->pre, by, prefix, err);
    if (rc == 0 && split)
        rc = pretokenizer_add(&t->pre, by, true, SPLIT_WITH_NEXT, false, err);
    return rc;
}

static int add_pre_tokenizer(struct tokenizer *t, const json_t *step, bool last, int depth,
                             struct err *err)
{
    const json_t *list = json_object_get(step, "pretokenizers");
    bool single = json_is_true(json_object_get(step, "individual_digits"));
    const char *type = json_component_type(step);
    size_t n = json_array_size(list);
    int rc = 0;

    if (depth > DEPTH_MAX)
        return too_deep(err, "pre-tokenizer");
    if (strcmp(type, "ByteLevel") == 0)
        return last ? add_byte_level(t, step, err)
                    : err_set(err, ERR_UNSUPPORTED,
                              "the pre-tokenizer ByteLevel is supported as the last step only");
    if (strcmp(type, "Split") == 0)
        return add_split(t, step, err);
    if (strcmp(type, "Digits") == 0)
        return pretokenizer_add(&t->pre, single ? known_digit : known_digits, false, SPLIT_ISOLATED,
                                false, err);
    if (strcmp(type, "Metaspace") == 0)
        return add_meta(t, step, err);
    if (strcmp(type, "Sequence") != 0)
        return json_component_refuse(err, "pre-tokenizer", type);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_pre_tokenizer(t, json_array_get(list, i), last && i + 1 == n, depth + 1, err);
    return rc;
}

int json_steps_add_pre_tokenizer(struct tokenizer *t, const json_t *pre, struct err *err)
{
    return json_is_set(pre) ? add_pre_tokenizer(t, pre, true, 0, err) : 0;
}

bool json_steps_are_of_bytes(const json_t *pre)
{
    for (int depth = 0; depth <= DEPTH_MAX && strcmp(json_component_type(pre), "Sequence") == 0;
         depth++) {
        const json_t *list = json_object_get(pre, "pretokenizers");
        pre = json_array_get(list, json_array_size(list) - 1);
    }
    return strcmp(json_component_type(pre), "ByteLevel") == 0;
}

/* Strip of a blank in front, or Metaspace, which drops what it put there. */
static enum decode_strip strip_of(const json_t *decoder)
{
    const char *scheme = json_string_value(json_object_get(decoder, "prepend_scheme"));
    const char *content = json_string_value(json_object_get(decoder, "content"));
    bool never = scheme ? strcmp(scheme, "never") == 0
                        : json_is_false(json_object_get(decoder, "add_prefix_space"));

    if (strcmp(json_component_type(decoder), "Metaspace") == 0)
        return never ? STRIP_NOTHING : STRIP_FIRST_TOKEN;
    if (strcmp(json_component_type(decoder), "Strip") == 0 && content &&
        strcmp(content, " ") == 0 && json_integer_value(json_object_get(decoder, "start")) == 1)
        return STRIP_BLANK;
    return STRIP_NOTHING;
}

void json_steps_read_decoder(struct tokenizer *t, const json_t *decoder)
{
    json_t *each;
    size_t i;

    t->strip = strip_of(decoder);
    json_array_foreach(json_object_get(decoder, "decoders"), i,
                       each) if (strip_of(each) != STRIP_NOTHING) t->strip = strip_of(each);
}

/* The id of a special token in a TemplateProcessing's list, or -1. */
static int special_id(const struct tokenizer *t, const json_t *processor, const json_t *item)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
    const json_t *ids = json_object_get(
        name ? json_object_get(json_object_get(processor, "special_tokens"), name) : NULL, "ids");
    const json_t *id = json_array_get(ids, 0);
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;

    return value >= 0 && value < t->vocab.n ? (int)value : -1;
}

/* A special token in front of a single text is the begin token. */
static void read_template(struct tokenizer *t, const json_t *processor)
{
    const json_t *list = json_object_get(processor, "single");
    int first = special_id(t, processor, json_array_get(list, 0));

    if (first >= 0) {
        t->bos = first;
        t->adds_bos = true;
    }
    if (json_array_size(list) > 1)
        t->behind = special_id(t, processor, json_array_get(list, json_array_size(list) - 1));
}

void json_steps_read_post_processor(struct tokenizer *t, const json_t *processor)
{
    json_t *each;
    size_t i;

    if (strcmp(json_component_type(processor), "TemplateProcessing") == 0)
        read_template(t, processor);
    json_array_foreach(json_object_get(processor, "processors"), i,
                       each) if (strcmp(json_component_type(each), "TemplateProcessing") == 0)
        read_template(t, each);
}
