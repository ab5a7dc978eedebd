/* tests/fuzz/models.c - any config.json over the weights of a tiny model, and an adapter for it:
 * the first byte says which of the three files the bytes are (0: config.json, 1:
 * adapter_config.json, 2: adapter_model.safetensors). DASH_FUZZ_TINY is the folder of the model and
 * its adapter. */
#include "core/file.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "tests/fuzz/fuzz.h"

enum { CONFIG, WEIGHTS, MODEL_FILES };
enum { ADAPTER_CONFIG, ADAPTER, ADAPTER_FILES };

static struct {
    char model[40], adapter[40];
    struct fuzz_file model_files[MODEL_FILES], adapter_files[ADAPTER_FILES];
    char *bytes[MODEL_FILES + ADAPTER_FILES];
    size_t len[MODEL_FILES + ADAPTER_FILES];
} tiny;

static void read_tiny(int i, const char *name)
{
    const char *folder = getenv("DASH_FUZZ_TINY");
    char path[4096];
    struct err err;

    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/golden/tiny", name);
    if (file_read(path, 64 << 20, &tiny.bytes[i], &tiny.len[i], &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void set_up(void)
{
    static const char *const model[] = {"config.json", "model.safetensors", NULL};
    static const char *const adapter[] = {"adapter_config.json", "adapter_model.safetensors", NULL};

    read_tiny(CONFIG, "model/config.json");
    read_tiny(WEIGHTS, "model/model.safetensors");
    read_tiny(MODEL_FILES + ADAPTER_CONFIG, "init/adapter_config.json");
    read_tiny(MODEL_FILES + ADAPTER, "init/adapter_model.safetensors");
    fuzz_folder_open(model, tiny.model_files, tiny.model);
    fuzz_folder_open(adapter, tiny.adapter_files, tiny.adapter);
    fuzz_file_write(&tiny.model_files[WEIGHTS], tiny.bytes[WEIGHTS], tiny.len[WEIGHTS]);
}

static void put(const struct fuzz_file *file, int i, bool replaced, const uint8_t *data,
                size_t size)
{
    if (replaced)
        fuzz_file_write(file, data, size);
    else
        fuzz_file_write(file, tiny.bytes[i], tiny.len[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = {0};
    struct adapter *adapter = NULL;
    struct model *model = NULL;
    struct err err = {0};
    int which, rc;

    if (size == 0)
        return 0;
    if (!tiny.bytes[0])
        set_up();
    which = data[0] % 3;
    put(&tiny.model_files[CONFIG], CONFIG, which == 0, data + 1, size - 1);
    put(&tiny.adapter_files[ADAPTER_CONFIG], MODEL_FILES + ADAPTER_CONFIG, which == 1, data + 1,
        size - 1);
    put(&tiny.adapter_files[ADAPTER], MODEL_FILES + ADAPTER, which == 2, data + 1, size - 1);
    rc = model_open(tiny.model, &model, &problems, &err);
    assert(rc == 0 || problems_count(&problems) > 0 || err.text[0]);
    if (rc == 0 &&
        fuzz_check(adapter_read(tiny.adapter, model_config(model), &adapter, &err), &err) == 0)
        adapter_free(adapter);
    model_close(model);
    problems_free(&problems);
    return 0;
}
