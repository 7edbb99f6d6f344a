// Starts Scalar (standalone.js, loaded after this file) on the OpenAPI document of this server.
"use strict";

// While it loads, the library asks whether it may generate code: `new Function("")`. The page's Content-Security-Policy
// says no, and the browser would log the question as a violation. The same answer given here leaves the console clean.
const NativeFunction = window.Function;
window.Function = new Proxy(NativeFunction, {
  construct() {
    throw new EvalError("Code generation is switched off on this page.");
  },
});

document.addEventListener("DOMContentLoaded", () => {
  window.Function = NativeFunction;
  window.Scalar?.createApiReference("#app", {
    url: "/api/v1/openapi.json",
    // Nothing leaves this server: no fonts, no telemetry, no assistant, no link to the hosted client, no upload of the document.
    withDefaultFonts: false,
    telemetry: false,
    agent: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: "never",
    // An API key typed here is gone with the page.
    persistAuth: false,
    slug: "arcbilling",
    documentDownloadType: "direct",
    orderSchemaPropertiesBy: "preserve",
  });
});
