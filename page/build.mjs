// Builds the page into gateway/http/page_files: stubs from protos/ first (`make page` does both).
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../gateway/http/page_files`;
// The rules by which the gateway checks messages are a quarter of the code, and of no use to the page: their file is
// known by its name alone, as the contract's files import it.
const name = "buf/validate/validate.proto";
const known = base64Encode(toBinary(FileDescriptorProtoSchema, create(FileDescriptorProtoSchema, { name })));
const contents = `import { fileDesc } from "@bufbuild/protobuf/codegenv2";
  export const file_buf_validate_validate = fileDesc("${known}");`;
const withoutRules = {
  name: "without rules",
  setup: ({ onLoad }) => onLoad({ filter: /buf\/validate\/validate_pb\.ts$/ }, () => ({ contents, resolveDir: here })),
};
await mkdir(out, { recursive: true });
await build({
  entryPoints: { page: `${here}src/page.ts` },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2023",
  legalComments: "none",
  outdir: out,
  plugins: [withoutRules],
  banner: { js: "/* Built from page/ by `make page`. */", css: "/* Built from page/ by `make page`. */" },
});
for (const file of ["index.html", "icon.svg"]) await copyFile(`${here}src/${file}`, `${out}/${file}`);
await copyFile(`${here}../demo/photo.jpg`, `${out}/demo.jpg`);
