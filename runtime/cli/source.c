/* SPDX-License-Identifier: Apache-2.0
 *
 * A source has one feed for each graph input. A feed gives items (one image, one row of an array); a frame takes as
 * many of them as the batch is large. Feeds with a single frame repeat it beside longer ones.
 */
#include "source.h"

#include "io.h"
#include "video.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t max_picture_bytes = (size_t)256 << 20;

enum feed_kind { FEED_RANDOM, FEED_ARRAY, FEED_PICTURES, FEED_VIDEO };

struct feed {
  enum feed_kind kind;
  const struct braid_node *node;
  struct io_preprocess how;
  char *what; /* file, directory or "random" */
  int frames;
  struct braid_tensor array; /* FEED_ARRAY: all rows */
  char **picture;            /* FEED_PICTURES: paths */
  int n_pictures;
  struct video *video; /* FEED_VIDEO */
  uint8_t *encoded;    /* a picture from standard input, read once */
  size_t encoded_bytes;
};

struct source {
  const struct braid_graph *graph;
  int n, frames;
  const struct source_stream *stream; /* while it is being opened; NULL: none is taken */
  struct feed *feed;
  struct braid_tensor *tensor; /* [n] what source_load hands out */
};

/* --------------------------------------------------------------------------------------------- pictures */

static int is_picture(const struct dirent *entry) {
  return io_image_name(entry->d_name);
}

static enum braid_status list_directory(struct feed *f, const char *dir) {
  struct dirent **entry;
  int n = scandir(dir, &entry, is_picture, alphasort);
  if (n < 0) return braid_fail(BRAID_EIO, "%s: cannot be listed", dir);
  f->picture = braid_calloc((size_t)n + 1, sizeof *f->picture);
  for (int i = 0; i < n; i++) {
    size_t room = strlen(dir) + strlen(entry[i]->d_name) + 2;
    char *path = f->picture ? braid_malloc(room) : NULL;
    if (path) {
      snprintf(path, room, "%s/%s", dir, entry[i]->d_name);
      f->picture[f->n_pictures++] = path;
    }
    free(entry[i]);
  }
  free(entry);
  if (n > 0 && f->n_pictures != n) return braid_fail(BRAID_ENOMEM, "%s: no memory for %d names", dir, n);
  return n > 0 ? BRAID_OK : braid_fail(BRAID_ENOTFOUND, "%s: no .jpg, .jpeg or .png file in this directory", dir);
}

static enum braid_status one_picture(struct feed *f, const char *path) {
  f->picture = braid_calloc(1, sizeof *f->picture);
  char *copy = braid_strdup(path);
  if (f->picture && copy) {
    f->picture[f->n_pictures++] = copy;
    return BRAID_OK;
  }
  braid_free(copy);
  return braid_fail(BRAID_ENOMEM, "%s: no memory for a name", path);
}

static enum braid_status decode(const struct feed *f, int item, struct io_image *out) {
  uint8_t *data = f->encoded;
  size_t size = f->encoded_bytes;
  if (!data) BRAID_TRY(io_read_file(f->picture[item], max_picture_bytes, &data, &size));
  enum braid_status status = io_image_parse(data, size, out);
  if (!f->encoded) braid_free(data);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", f->picture[item]);
}

static enum braid_status load_pictures(struct feed *f, int frame, const struct braid_tensor *t) {
  int batch = t->shape.rank > 0 ? t->shape.dim[0] : 1;
  for (int n = 0; n < batch; n++) {
    struct io_image image;
    int item = f->n_pictures == 1 ? 0 : frame * batch + n; /* a single picture fills the batch */
    BRAID_TRY(decode(f, item, &image));
    enum braid_status status = io_preprocess_image(&f->how, &image, t, n);
    io_image_free(&image);
    if (status != BRAID_OK) return braid_fail_in(status, "%s for input '%s'", f->picture[item], f->node->name);
  }
  return BRAID_OK;
}

static enum braid_status count_pictures(struct feed *f) {
  int batch = f->node->shape.rank > 0 ? f->node->shape.dim[0] : 1;
  f->frames = f->n_pictures == 1 ? 1 : f->n_pictures / batch;
  if (f->n_pictures > 1 && f->n_pictures % batch != 0)
    return braid_fail(BRAID_ESHAPE, "%s: %d pictures are not a multiple of the batch of %d", f->what, f->n_pictures,
                      batch);
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------------- arrays */

/* The array is the input itself, the input without its batch of one, or any number of them along the first dimension.
 */
static enum braid_status count_rows(struct feed *f) {
  const struct braid_shape *want = &f->node->shape, *have = &f->array.shape;
  char a[64], b[64];
  int64_t unit = braid_shape_elements(want), all = braid_shape_elements(have);
  bool tail = have->rank == want->rank;
  for (int i = 1; i < want->rank && tail; i++) tail = have->dim[i] == want->dim[i];
  bool bare = have->rank == want->rank - 1 && want->dim[0] == 1;
  for (int i = 0; i < have->rank && bare; i++) bare = have->dim[i] == want->dim[i + 1];
  if ((!tail && !bare) || unit < 1 || all < unit || all % unit != 0)
    return braid_fail(BRAID_ESHAPE, "%s: shape %s does not fit input '%s' of shape %s", f->what,
                      braid_shape_text(have, a, sizeof a), f->node->name, braid_shape_text(want, b, sizeof b));
  f->frames = (int)(all / unit);
  return BRAID_OK;
}

static double element(const void *data, enum braid_dtype dtype, size_t i) {
  switch (dtype) {
  case BRAID_F32:
    return (double)((const float *)data)[i];
  case BRAID_F64:
    return ((const double *)data)[i];
  case BRAID_U8:
    return ((const uint8_t *)data)[i];
  case BRAID_I8:
    return ((const int8_t *)data)[i];
  case BRAID_I32:
    return ((const int32_t *)data)[i];
  case BRAID_I64:
    return (double)((const int64_t *)data)[i];
  default:
    return 0;
  }
}

static bool converts(enum braid_dtype from, enum braid_dtype to) {
  if (from == to) return true;
  return to == BRAID_F32 &&
         (from == BRAID_F64 || from == BRAID_U8 || from == BRAID_I8 || from == BRAID_I32 || from == BRAID_I64);
}

/* uint8 planes [N,C,H,W] are pixels: they are shifted and scaled as a picture's would be. */
static void pixels_to_f32(const struct feed *f, const uint8_t *from, const struct braid_tensor *to) {
  int channels = to->shape.dim[1];
  size_t plane = (size_t)to->shape.dim[2] * (size_t)to->shape.dim[3],
         planes = (size_t)to->shape.dim[0] * (size_t)channels;
  float *out = to->data;
  for (size_t p = 0; p < planes; p++) {
    int c = (int)(p % (size_t)channels), read = f->how.bgr && channels == 3 ? 2 - c : c, k = c < 3 ? c : 2;
    const uint8_t *src = from + (p - (size_t)c + (size_t)read) * plane;
    for (size_t i = 0; i < plane; i++) out[p * plane + i] = ((float)src[i] - f->how.mean[k]) / f->how.std[k];
  }
}

static enum braid_status load_array(const struct feed *f, int frame, const struct braid_tensor *t) {
  size_t n = (size_t)braid_shape_elements(&t->shape), first = (size_t)frame * n,
         bytes = braid_dtype_bytes(f->array.dtype);
  const uint8_t *from = (const uint8_t *)f->array.data + first * bytes;
  if (f->array.dtype == t->dtype)
    memcpy(t->data, from, n * bytes);
  else if (f->array.dtype == BRAID_U8 && t->shape.rank == 4)
    pixels_to_f32(f, from, t);
  else
    for (size_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)element(from, f->array.dtype, i);
  return BRAID_OK;
}

static enum braid_status accept_array(struct feed *f) {
  f->kind = FEED_ARRAY;
  if (!converts(f->array.dtype, f->node->dtype))
    return braid_fail(BRAID_EINVAL, "%s: %s elements do not fit input '%s' of type %s", f->what,
                      braid_dtype_name(f->array.dtype), f->node->name, braid_dtype_name(f->node->dtype));
  return count_rows(f);
}

/* ----------------------------------------------------------------------------------------------- random */

static void load_random(const struct feed *f, const struct braid_tensor *t) {
  uint64_t seed = braid_fnv1a(f->node->name);
  size_t n = (size_t)braid_shape_elements(&t->shape);
  if (t->dtype == BRAID_F32) {
    for (size_t i = 0; i < n; i++) ((float *)t->data)[i] = braid_random_f32(seed, i);
    return;
  }
  if (t->dtype == BRAID_U8) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)t->data)[i] = (uint8_t)braid_random_u64(seed, i);
    return;
  }
  memset(t->data, 0, n * braid_dtype_bytes(t->dtype)); /* an index or a flag: zero is always in range */
}

/* ---------------------------------------------------------------------------------------------- opening */

static enum braid_status open_video(struct feed *f, const char *path, const char *raw, const char *head, size_t n) {
  if (f->node->shape.rank != 4 || (f->node->dtype != BRAID_F32 && f->node->dtype != BRAID_U8))
    return braid_fail(BRAID_ESHAPE, "%s: input '%s' takes no pictures", f->what, f->node->name);
  f->kind = FEED_VIDEO;
  f->frames = 0;
  BRAID_TRY(video_open(path, raw, head, n, &f->video));
  braid_log(BRAID_LOG_INFO, "%s: %s", f->what, video_text(f->video));
  return BRAID_OK;
}

/* The beginning of standard input, which cannot be put back. */
static size_t read_head(uint8_t *head, size_t n) {
  size_t got = 0;
  for (ssize_t k; got < n && (k = read(STDIN_FILENO, head + got, n - got)) > 0;) got += (size_t)k;
  return got;
}

/* Standard input behind its first bytes, in one piece with them. */
static enum braid_status read_rest(const uint8_t *head, size_t n, uint8_t **data, size_t *size) {
  uint8_t *rest = NULL, *all = NULL;
  size_t rest_bytes = 0;
  BRAID_TRY(io_read_file("-", (size_t)4 << 30, &rest, &rest_bytes));
  all = braid_malloc(n + rest_bytes + 1);
  if (all) {
    memcpy(all, head, n);
    if (rest_bytes) memcpy(all + n, rest, rest_bytes);
  }
  braid_free(rest);
  if (!all) return braid_fail(BRAID_ENOMEM, "standard input: no memory for %zu bytes", n + rest_bytes);
  *data = all;
  *size = n + rest_bytes;
  return BRAID_OK;
}

static enum braid_status open_standard_input(const struct source *s, struct feed *f) {
  uint8_t *data = NULL, head[sizeof VIDEO_Y4M_MAGIC - 1];
  size_t size = 0, n = read_head(head, sizeof head);
  if (n == sizeof head && memcmp(head, VIDEO_Y4M_MAGIC, n) == 0) {
    if (s->stream) return open_video(f, "-", NULL, (const char *)head, n);
    return braid_fail(BRAID_EUNSUPPORTED, "standard input is a video stream: 'braid edge' takes those");
  }
  BRAID_TRY(read_rest(head, n, &data, &size));
  if (!io_npy_is(data, size)) {
    f->encoded = data;
    f->encoded_bytes = size;
    f->kind = FEED_PICTURES;
    BRAID_TRY(one_picture(f, "standard input"));
    return count_pictures(f);
  }
  enum braid_status status = io_npy_parse(data, size, &f->array);
  braid_free(data);
  return status == BRAID_OK ? accept_array(f) : braid_fail_in(status, "standard input");
}

static bool ends_in(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static enum braid_status open_feed(const struct source *s, struct feed *f, const char *path) {
  struct stat st;
  braid_free(f->what);
  f->what = braid_strdup(strcmp(path, "-") == 0 ? "standard input" : path);
  if (!f->what) return braid_fail(BRAID_ENOMEM, "no memory for a name");
  if (s->stream && (s->stream->raw || ends_in(path, ".y4m"))) return open_video(f, path, s->stream->raw, NULL, 0);
  if (strcmp(path, "-") == 0) return open_standard_input(s, f);
  if (stat(path, &st) != 0) return braid_fail(BRAID_ENOTFOUND, "%s: no such file", path);
  f->kind = FEED_PICTURES;
  if (S_ISDIR(st.st_mode))
    BRAID_TRY(list_directory(f, path));
  else if (io_image_name(path))
    BRAID_TRY(one_picture(f, path));
  else {
    BRAID_TRY(io_npy_read(path, &f->array));
    return accept_array(f);
  }
  return count_pictures(f);
}

static struct feed *feed_named(struct source *s, const char *name, size_t n) {
  for (int i = 0; i < s->n; i++)
    if (strlen(s->feed[i].node->name) == n && strncmp(s->feed[i].node->name, name, n) == 0) return &s->feed[i];
  return NULL;
}

/* "NAME=FILE" where NAME is an input, else a file for the only input. */
static enum braid_status open_input(struct source *s, const char *text) {
  const char *equals = strchr(text, '=');
  struct feed *f = equals ? feed_named(s, text, (size_t)(equals - text)) : NULL;
  if (f) return open_feed(s, f, equals + 1);
  if (s->n == 1 && !equals) return open_feed(s, &s->feed[0], text);
  struct stat st;
  if (s->n == 1 && stat(text, &st) == 0) return open_feed(s, &s->feed[0], text);
  if (equals)
    return braid_fail(BRAID_ENOTFOUND, "%s has no input '%.*s'; the first is '%s'", braid_graph_name(s->graph),
                      (int)(equals - text), text, s->feed[0].node->name);
  return braid_fail(BRAID_EINVAL, "%s has %d inputs: give --input NAME=FILE for each ('%s', ...)",
                    braid_graph_name(s->graph), s->n, s->feed[0].node->name);
}

static bool is_stream(const struct source *s) {
  bool stream = false;
  for (int i = 0; i < s->n; i++) stream = stream || s->feed[i].kind == FEED_VIDEO;
  return stream;
}

static enum braid_status count_frames(struct source *s) {
  s->frames = is_stream(s) ? 0 : 1;
  if (s->frames == 0) return BRAID_OK; /* other inputs are repeated beside it */
  for (int i = 0; i < s->n; i++)
    if (s->feed[i].frames > s->frames) s->frames = s->feed[i].frames;
  for (int i = 0; i < s->n; i++)
    if (s->feed[i].frames != 1 && s->feed[i].frames != s->frames)
      return braid_fail(BRAID_ESHAPE, "%s has %d frames, another input has %d", s->feed[i].what, s->feed[i].frames,
                        s->frames);
  return BRAID_OK;
}

static enum braid_status open_all(struct source *s, const struct cli_list *inputs) {
  for (int i = 0; i < inputs->n; i++) BRAID_TRY(open_input(s, inputs->item[i]));
  for (int i = 0; i < s->n && inputs->n; i++)
    if (s->feed[i].kind == FEED_RANDOM)
      return braid_fail(BRAID_EINVAL, "no --input for input '%s' of %s", s->feed[i].node->name,
                        braid_graph_name(s->graph));
  return count_frames(s);
}

static int choose_preprocess(struct source *s, const char *spec) {
  for (int i = 0; i < s->n; i++) {
    struct feed *f = &s->feed[i];
    if (!spec)
      io_preprocess_guess(f->node->name, f->node->dtype, &f->node->shape, &f->how);
    else if (io_preprocess_parse(spec, &f->how) != BRAID_OK)
      return cli_usage("--preprocess: %s", braid_error());
  }
  return CLI_DONE;
}

static bool uses_preprocess(const struct feed *f) {
  return f->kind == FEED_PICTURES || f->kind == FEED_VIDEO ||
         (f->kind == FEED_ARRAY && f->array.dtype == BRAID_U8 && f->node->dtype == BRAID_F32);
}

static void log_guess(const struct source *s) {
  for (int i = 0; i < s->n; i++) {
    const struct feed *f = &s->feed[i];
    if (uses_preprocess(f))
      braid_log(BRAID_LOG_INFO, "input '%s': preprocessing guessed as %s (--preprocess to choose)", f->node->name,
                f->how.name);
  }
}

static enum braid_status allocate(const struct braid_graph *graph, struct source *s) {
  const int *id = braid_graph_inputs(graph, &s->n);
  s->graph = graph;
  s->feed = braid_calloc((size_t)s->n + 1, sizeof *s->feed);
  s->tensor = braid_calloc((size_t)s->n + 1, sizeof *s->tensor);
  if (!s->feed || !s->tensor) return braid_fail(BRAID_ENOMEM, "no memory for %d inputs", s->n);
  for (int i = 0; i < s->n; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    s->feed[i] = (struct feed){.kind = FEED_RANDOM, .node = node, .frames = 1, .what = braid_strdup("random")};
    s->tensor[i] = (struct braid_tensor){braid_alloc_aligned(node->bytes ? node->bytes : 1), node->dtype, node->shape};
    if (!s->tensor[i].data || !s->feed[i].what)
      return braid_fail(BRAID_ENOMEM, "no memory for input '%s' (%zu bytes)", node->name, node->bytes);
  }
  return BRAID_OK;
}

int source_open(const struct braid_graph *graph, const struct cli_list *inputs, const char *preprocess,
                const struct source_stream *stream, struct source **out) {
  struct source *s = braid_calloc(1, sizeof *s);
  if (s) s->stream = stream;
  int exit = s && allocate(graph, s) == BRAID_OK ? choose_preprocess(s, preprocess) : CLI_FAILED;
  if (exit == CLI_FAILED) cli_fail(CLI_FAILED);
  if (exit == CLI_DONE && open_all(s, inputs) != BRAID_OK) exit = cli_fail(CLI_BAD_INPUT);
  if (exit != CLI_DONE) {
    source_close(&s);
    return exit;
  }
  s->stream = NULL;
  if (!preprocess) log_guess(s);
  *out = s;
  return CLI_DONE;
}

void source_close(struct source **source) {
  struct source *s = *source;
  *source = NULL;
  if (!s) return;
  for (int i = 0; i < s->n; i++) {
    struct feed *f = s->feed ? &s->feed[i] : NULL;
    for (int p = 0; f && p < f->n_pictures; p++) braid_free(f->picture[p]);
    if (f) {
      braid_free(f->picture);
      braid_free(f->array.data);
      braid_free(f->encoded);
      video_close(&f->video);
      braid_free(f->what);
    }
    if (s->tensor) braid_free(s->tensor[i].data);
  }
  braid_free(s->feed);
  braid_free(s->tensor);
  braid_free(s);
}

/* ---------------------------------------------------------------------------------------------- loading */

int source_frames(const struct source *source) {
  return source->frames;
}

int source_inputs(const struct source *source) {
  return source->n;
}

const struct braid_tensor *source_tensors(const struct source *source) {
  return source->tensor;
}

static enum braid_status load_video(struct feed *f, const struct braid_tensor *t) {
  for (int n = 0; n < t->shape.dim[0]; n++) {
    struct io_image image;
    BRAID_TRY(video_next(f->video, &image));
    BRAID_TRY(io_preprocess_image(&f->how, &image, t, n));
  }
  return BRAID_OK;
}

static enum braid_status load(struct feed *f, int frame, const struct braid_tensor *t) {
  if (f->kind == FEED_VIDEO) return load_video(f, t);
  frame %= f->frames;
  if (f->kind == FEED_PICTURES) return load_pictures(f, frame, t);
  if (f->kind == FEED_ARRAY) return load_array(f, frame, t);
  load_random(f, t);
  return BRAID_OK;
}

int source_load(struct source *source, int i, const struct braid_tensor **in, int *n_in) {
  for (int k = 0; k < source->n; k++) {
    enum braid_status status = load(&source->feed[k], i, &source->tensor[k]);
    *in = NULL;
    if (status == BRAID_ENOTFOUND && source->feed[k].kind == FEED_VIDEO) return CLI_DONE;
    if (status != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  }
  *in = source->tensor;
  *n_in = source->n;
  return CLI_DONE;
}

const char *source_name(const struct source *source, int i, char *buf, size_t size) {
  const struct feed *f = &source->feed[0];
  if (f->frames > 0) i %= f->frames;
  if (f->kind == FEED_VIDEO)
    snprintf(buf, size, "%s[%d]", f->what, i);
  else if (f->kind == FEED_PICTURES && f->frames > 1) {
    const char *path = f->picture[i], *slash = strrchr(path, '/');
    snprintf(buf, size, "%s", slash ? slash + 1 : path);
  } else if (f->frames > 1)
    snprintf(buf, size, "%s[%d]", f->what, i);
  else
    snprintf(buf, size, "%s", f->what);
  return buf;
}
