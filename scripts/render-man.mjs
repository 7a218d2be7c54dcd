// Renders man/*.1 and man/*.5. The pages are ejs with roff escaping.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs from 'ejs'

// What LXC's scripts rely on besides 0 and 1.
const EXIT_STATUS = {
  stop: ', 2 when a container does not run',
  attach: '; otherwise that of the command, or 128 + N when signal N ended it',
  start: '; with -F that of the init',
  wait: ' and when the time is over',
  doctor: ' and when something blocks',
}

/** groff_man(7): no macro at the start of a line, no hyphen where a minus is meant. `code` becomes bold. */
export function roffEscape(text) {
  return String(text ?? '')
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replace(/^([.'])/gm, '\\&$1')
    .replace(/`([^`]+)`/g, '\\fB$1\\fP')
}

const lower = (text) => (/^[A-Z]{2}/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1))

/** Of the newest version; today while that is not released. */
const releaseDate = (changelog) => /^## .*?(\d{4}-\d\d-\d\d)|^## /m.exec(changelog)?.[1] ?? new Date().toISOString().slice(0, 10)

/** One page a first word: `config get` and its like share tslxc-config.1. Returns file names and texts. */
export function renderManPages(root, definitions, keys) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const date = releaseDate(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'))
  const render = (template, data) =>
    ejs.render(readFileSync(join(root, 'scripts/man', template), 'utf8'), { version, date, lower, words, ...data }, { escape: roffEscape })
  const pages = Map.groupBy ? Map.groupBy(definitions, pageOf) : groupBy(definitions, pageOf)
  const files = new Map()
  for (const [page, verbs] of pages) files.set(`tslxc-${page}.1`, render('verb.1.ejs', verbPage(page, verbs)))
  files.set('tslxc.1', render('tslxc.1.ejs', { verbs: definitions, pages: [...pages.keys()] }))
  files.set('tslxc.yaml.5', render('tslxc.yaml.5.ejs', keys))
  return files
}

const pageOf = ({ id }) => id.split(':')[0]

// Map.groupBy comes with Node 21.
function groupBy(items, key) {
  const groups = new Map()
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item])
  return groups
}

function verbPage(page, verbs) {
  const [first] = verbs
  return {
    page,
    verbs,
    summary: first.id === page ? first.summary : verbs.map(({ summary }) => lower(summary)).join('; '),
    common: first.optionLines.filter(({ common }) => common),
    examples: verbs.flatMap(({ examples }) => examples),
    exitStatus: roffEscape(EXIT_STATUS[page] ?? ''),
  }
}

/** Arguments, and what is passed on. */
function words(verb) {
  const args = verb.args.map((arg) => ({ label: arg.name.toUpperCase(), text: arg.description }))
  return verb.rest === undefined ? args : [...args, { label: verb.rest.label, text: verb.rest.description }]
}
