// Generated from schema/errors.json by scripts/generate.mjs. Do not edit.

export const errorTemplates = {
  config_syntax: "{message}",
  config_invalid: "{path}: {message}",
  config_reference: "{path}: {message}",
  manifest_invalid: "{path}: {message}",
  file_unreadable: "{file}: {message}",
  limit_exceeded: "{what}: {count} exceeds the limit of {limit}",
  port_open_failed: "port {port}: {message}",
  privilege_missing: "{what} needs {capability}",
  control_refused: "{path}: {message}",
  native_missing: "the native module is not built: {message}",
  runtime_state: "{message}",
} as const;
export type ErrorCode = keyof typeof errorTemplates;
