import type { Definition } from './definitions.mjs'

export function renderCompletion(root: string, definitions: readonly Definition[]): Map<string, string>
