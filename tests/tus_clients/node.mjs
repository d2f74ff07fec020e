// One upload by tus-js-client under Node: `node node.mjs MODULES OPTIONS`.
//
// OPTIONS is JSON: tus-js-client's own options, the `path` of the file, and
// - stopAt: give up when the server has acknowledged so many bytes;
// - terminate: and then have the server remove them;
// - stream: send the file as a stream, whose length nobody knows.
// Prints what happens, one JSON a line; the last one says how it has ended.

import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { PassThrough } from "node:stream";

const [modules, given] = process.argv.slice(2);
const tus = createRequire(`${modules}/`)("tus-js-client");
const { path, stopAt, terminate, stream, ...options } = JSON.parse(given);

const say = (what) => console.log(JSON.stringify(what));
const end = (how) => {
  say(how);
  process.exit();
};

const file = createReadStream(path);
const upload = new tus.Upload(stream ? file.pipe(new PassThrough()) : file, {
  ...options,
  onUploadUrlAvailable() {
    say({ url: upload.url });
  },
  onAfterResponse(request, response) {
    say({ method: request.getMethod(), status: response.getStatus() });
  },
  onChunkComplete(size, accepted) {
    say({ accepted });
    if (accepted >= stopAt) upload.abort(terminate).then(() => end({ ended: "stopped" }));
  },
  onSuccess() {
    end({ ended: "success", url: upload.url });
  },
  onError(error) {
    end({ ended: "error", message: error.message });
  },
});
upload.start();
