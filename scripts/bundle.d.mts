export function listCommands(root: string): Map<string, string>
export function bundle(root: string): Promise<void>
export function keepCode(root: string): void
