// Builds the page into gateway/http/page_files: stubs from protos/ first (`make page` does both).
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../gateway/http/page_files`;
await mkdir(out, { recursive: true });
await build({
  entryPoints: { page: `${here}src/page.ts` },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2023",
  legalComments: "none",
  outdir: out,
  banner: { js: "/* Built from page/ by `make page`. */", css: "/* Built from page/ by `make page`. */" },
});
for (const name of ["index.html", "icon.svg"]) await copyFile(`${here}src/${name}`, `${out}/${name}`);
await copyFile(`${here}../demo/photo.jpg`, `${out}/demo.jpg`);
