/** `rootfs.path` in the text of a configuration, when the container gets another volume. */
import { isScalar } from 'yaml'
import { parseYaml } from '../config/document.ts'
import { findKey, setKey } from '../config/edit.ts'
import type { Volume } from '../storage/driver.ts'
import { volumeText } from '../storage/index.ts'

/** Comments and spelling stay where it says so already, or where an included file says it. */
export function withRootfsPath(file: string, text: string, { old, live }: { readonly old: Volume; readonly live: Volume }): string {
  const node = findKey(parseYaml(file, text).document, 'rootfs.path')
  const said = isScalar(node) ? String(node.value) : undefined
  const wanted = volumeText(live)
  if (said === undefined ? wanted === volumeText(old) : said === wanted || `dir:${said}` === wanted) return text
  return setKey(file, text, 'rootfs.path', wanted)
}
