export function renderNativeOptions(definitions: readonly object[]): string
