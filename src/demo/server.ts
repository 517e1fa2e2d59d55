// A real HTTP server for one of the demo's namespaces: says its name. Started as a program of its own:
//   node server.js NAME PORT
import { createServer } from "node:http";

const [name = "server", port = "8080"] = process.argv.slice(2);
const server = createServer((_request, response) => {
  response.setHeader("x-server", name);
  response.end(`${name}\n`);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "::", () => process.stdout.write("ready\n"));
process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
