/* SPDX-License-Identifier: Apache-2.0
 * The YAML schema of a pinning config, and libcyaml's complaints as one line with file, line and column. */
#include "config.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 500, MAX_GROUPS = 256, MAX_COUNT = 4096 };

static const cyaml_strval_t memory_words[] = {{"any", PIN_MEMORY_ANY}, {"bind", PIN_MEMORY_BIND}};
static const cyaml_strval_t kind_words[] = {
    {"any", PIN_KIND_ANY}, {"performance", PIN_KIND_PERFORMANCE}, {"efficiency", PIN_KIND_EFFICIENCY}};

static const cyaml_schema_field_t group_fields[] = {
    CYAML_FIELD_INT("count", CYAML_FLAG_OPTIONAL, struct pin_group, count),
    CYAML_FIELD_STRING_PTR("bind", CYAML_FLAG_POINTER, struct pin_group, bind, 1, MAX_TEXT),
    CYAML_FIELD_ENUM("memory", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct pin_group, memory, memory_words, 2),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct pin_group, kind, kind_words, 3),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t group_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct pin_group, group_fields)};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("topology", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct pin_config, topology, 1,
                           MAX_TEXT),
    CYAML_FIELD_SEQUENCE_COUNT("workers", CYAML_FLAG_POINTER, struct pin_config, workers, n_workers, &group_schema, 1,
                               MAX_GROUPS),
    CYAML_FIELD_MAPPING_PTR("io", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct pin_config, io, group_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct pin_config, config_fields)};

/* ------------------------------------------------------------------------------------------------ messages
 * libcyaml logs what is wrong in one line and then a backtrace, innermost place first:
 *   Load: Invalid INT value: 'x'
 *   Load: Backtrace:
 *     in mapping field 'count' (line: 3, column: 13) */
struct complaint {
  char what[256];
  unsigned line, column; /* 0: none yet */
};

__attribute__((format(printf, 3, 0))) static void listen_to_cyaml(cyaml_log_t level, void *ctx, const char *format, va_list args) {
  struct complaint *complaint = ctx;
  char text[512];
  if (level < CYAML_LOG_ERROR) return;
  vsnprintf(text, sizeof text, format, args);
  text[strcspn(text, "\n")] = '\0';
  const char *place = strstr(text, "(line: ");
  if (place) {
    if (complaint->line == 0 && sscanf(place, "(line: %u, column: %u)", &complaint->line, &complaint->column) != 2)
      complaint->line = 0;
  } else if (complaint->what[0] == '\0') {
    const char *what = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;
    snprintf(complaint->what, sizeof complaint->what, "%.*s", (int)sizeof complaint->what - 1, what);
  }
}

static cyaml_config_t cyaml_config(struct complaint *complaint) {
  /* no aliases: a small file cannot blow up into a large one */
  return (cyaml_config_t){.log_fn = listen_to_cyaml,
                          .log_ctx = complaint,
                          .log_level = CYAML_LOG_ERROR,
                          .mem_fn = cyaml_mem,
                          .flags = CYAML_CFG_NO_ALIAS};
}

void pin_config_free(struct pin_config **config) {
  struct complaint unheard = {0};
  cyaml_config_t how = cyaml_config(&unheard);
  (void)cyaml_free(&how, &config_schema, *config, 0);
  *config = NULL;
}

static enum braid_status fail_at(const char *path, cyaml_err_t error, const struct complaint *complaint) {
  if (error == CYAML_ERR_FILE_OPEN) return braid_fail(BRAID_EINVAL, "%s: the pinning config cannot be opened", path);
  if (error == CYAML_ERR_OOM) return braid_fail(BRAID_ENOMEM, "%s: no memory", path);
  const char *what = complaint->what[0] ? complaint->what : cyaml_strerror(error);
  unsigned line = complaint->line ? complaint->line : 1, column = complaint->line ? complaint->column : 1;
  return braid_fail(BRAID_EINVAL, "%s:%u:%u: %s", path, line, column, what);
}

static enum braid_status check_group(const char *path, const char *role, const struct pin_group *group) {
  if (group->count < 0 || group->count > MAX_COUNT)
    return braid_fail(BRAID_EINVAL, "%s: %s: count %d is not in 0..%d", path, role, group->count, MAX_COUNT);
  return BRAID_OK;
}

static enum braid_status check(const char *path, const struct pin_config *config) {
  for (unsigned i = 0; i < config->n_workers; i++) BRAID_TRY(check_group(path, "workers", &config->workers[i]));
  return config->io ? check_group(path, "io", config->io) : BRAID_OK;
}

enum braid_status pin_config_read(const char *path, struct pin_config **out) {
  struct complaint complaint = {0};
  cyaml_config_t how = cyaml_config(&complaint);
  struct pin_config *config = NULL;
  cyaml_err_t error = cyaml_load_file(path, &how, &config_schema, (cyaml_data_t **)&config, NULL);
  if (error != CYAML_OK) return fail_at(path, error, &complaint);
  if (!config) return braid_fail(BRAID_EINVAL, "%s:1:1: the pinning config is empty", path);
  enum braid_status status = check(path, config);
  if (status == BRAID_OK)
    *out = config;
  else
    pin_config_free(&config);
  return status;
}
