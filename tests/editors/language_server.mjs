// Ask yaml-language-server about files, over its own protocol, and print its diagnostics as JSON.
// Usage: node language_server.mjs SERVER_SCRIPT SCHEMA FILE...

import {spawn} from "node:child_process";
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const [server, schema, ...files] = process.argv.slice(2);
const child = spawn(process.execPath, [server, "--stdio"], {stdio: ["pipe", "pipe", "inherit"]});
const waiting = new Map();
const found = {};
let buffer = Buffer.alloc(0);

function send(message) {
  const body = JSON.stringify({jsonrpc: "2.0", ...message});
  child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

const settings = {
  yaml: {
    validate: true,
    schemaStore: {enable: false},
    schemas: {[pathToFileURL(schema).href]: "*.yaml"},
  },
};

function receive(message) {
  if (message.method === "workspace/configuration") {
    const result = message.params.items.map(({section}) => settings[section] ?? null);
    send({id: message.id, result});
  } else if (message.method === "textDocument/publishDiagnostics") {
    waiting.get(message.params.uri)?.(message.params.diagnostics);
  } else if (message.id !== undefined && message.method !== undefined) {
    send({id: message.id, result: null});
  } else if (message.id !== undefined) {
    waiting.get(message.id)?.(message.result);
  }
}

child.stdout.on("data", (data) => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, end).toString())[1]);
    if (buffer.length < end + 4 + length) return;
    const body = buffer.subarray(end + 4, end + 4 + length).toString();
    buffer = buffer.subarray(end + 4 + length);
    receive(JSON.parse(body));
  }
});

function answer(key, limit) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve([]), limit);
    waiting.set(key, (value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

const ready = answer(1, 20000);
const capabilities = {workspace: {configuration: true}};
send({id: 1, method: "initialize", params: {processId: process.pid, rootUri: null, capabilities}});
await ready;
send({method: "initialized", params: {}});
send({method: "workspace/didChangeConfiguration", params: {settings}});

for (const file of files) {
  const uri = pathToFileURL(file).href;
  const diagnostics = answer(uri, 10000);
  const text = readFileSync(file, "utf-8");
  const textDocument = {uri, languageId: "yaml", version: 1, text};
  send({method: "textDocument/didOpen", params: {textDocument}});
  found[file] = (await diagnostics).map(({range, message}) => ({
    line: range.start.line + 1,
    column: range.start.character + 1,
    message,
  }));
  send({method: "textDocument/didClose", params: {textDocument: {uri}}});
}
console.log(JSON.stringify(found));
child.kill();
process.exit(0);
