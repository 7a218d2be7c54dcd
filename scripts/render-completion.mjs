// Renders completion/ for bash, zsh and fish.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs from 'ejs'

const ASKING = [
  { name: 'help', char: 'h', value: 'none' },
  { name: 'usage', value: 'none' },
  { name: 'version', value: 'none' },
]

const STORAGE = 'dir overlay btrfs zfs lvm loop best'.split(' ')
const LEVELS = 'FATAL ALERT CRIT ERROR WARN NOTICE INFO DEBUG TRACE'.split(' ')

/** Words that an option takes, by its name. */
const choicesOf = (root) => ({
  template: readdirSync(join(root, 'templates'), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() && !entry.name.startsWith('_') ? [entry.name] : [],
  ),
  state: 'STOPPED STARTING RUNNING STOPPING ABORTING FREEZING FROZEN THAWED'.split(' '),
  logpriority: LEVELS,
  bdev: STORAGE,
  backingstorage: STORAGE,
  fstype: 'ext4 xfs btrfs'.split(' '),
})

/** Returns file names below completion/ and texts. */
export function renderCompletion(root, definitions) {
  const choices = choicesOf(root)
  const verbs = definitions.map((definition) => describe(definition, choices))
  const firstWords = [...new Set(definitions.map(({ id }) => id.split(':')[0]))]
  const topics = firstWords
    .map((word) => [word, definitions.filter(({ id }) => id.startsWith(`${word}:`)).map(({ id }) => id.split(':')[1])])
    .filter(([, seconds]) => seconds.length > 0)
  const firstWordSummaries = firstWords.map((word) => [word, definitions.find(({ id }) => id.split(':')[0] === word)?.summary ?? ''])
  const data = { verbs, firstWords, topics, firstWordSummaries, fishQuote }
  const render = (shell) => ejs.render(readFileSync(join(root, 'scripts/completion', `${shell}.ejs`), 'utf8'), data)
  return new Map([
    ['bash/tslxc', render('bash')],
    ['zsh/_tslxc', render('zsh')],
    ['fish/tslxc.fish', render('fish')],
  ])
}

function describe(definition, choices) {
  const { getopt, args, title } = definition
  const named = getopt.named ? [{ name: 'name', char: 'n', value: 'required' }] : []
  const options = [...getopt.options, ...named, ...ASKING]
  const text = (name) => definition.optionLines.find(({ label }) => new RegExp(`--${name}(?![\\w-])`).test(label))?.text ?? ''
  const spelled = ({ name, char }) => (char === undefined ? [`--${name}`] : [`-${char}`, `--${name}`])
  return {
    title,
    options: options.flatMap(spelled),
    values: options.filter(({ value }) => value === 'required').flatMap(spelled),
    choices: options
      .filter(({ name, value }) => value === 'required' && name in choices)
      .map((option) => ({ spelled: spelled(option), words: choices[option.name] })),
    operands: args[0]?.name === 'name' ? 'names' : 'other',
    zsh: [...options.map((option) => zshOption(option, text(option.name), choices)), ...zshOperands(args)],
    fish: options.map((option) => fishOption(option, text(option.name), choices)),
  }
}

// _arguments: '(-t --timeout)'{-t+,--timeout=}'[text]:value:action'
function zshOption({ name, char, value }, text, choices) {
  const label = text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&')
  const words = value === 'required' && name in choices ? `(${choices[name].join(' ')})` : '_files'
  const action = value === 'none' ? '' : `${value === 'optional' ? '::' : ':'}value:${name === 'name' ? '_tslxc_names' : words}`
  const long = value === 'none' ? `--${name}` : `--${name}=`
  const spelled = char === undefined ? `'${long}` : `'(-${char} --${name})'{-${char}${value === 'none' ? '' : '+'},${long}}'`
  return `${spelled}[${label}]${action}'`
}

function zshOperands(args) {
  return args.map(({ name, multiple }, at) => `'${multiple ? '*' : at + 1}:${name}:${name === 'name' ? '_tslxc_names' : '_default'}'`)
}

function fishOption({ name, char, value }, text, choices) {
  const short = char === undefined ? '' : ` -s ${char}`
  const action =
    value === 'required' ? (name === 'name' ? " -xa '(__tslxc_names)'" : name in choices ? ` -xa '${choices[name].join(' ')}'` : ' -r') : ''
  return `-l ${name}${short}${action} -d '${fishQuote(text)}'`
}

function fishQuote(text) {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
}
