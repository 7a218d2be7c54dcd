import type { Definition } from './definitions.mjs'

export function renderManPages(
  root: string,
  definitions: readonly Definition[],
  keys: { readonly keys: readonly object[]; readonly settings: readonly object[] },
): Map<string, string>
