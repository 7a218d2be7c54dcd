// Renders completion/ for bash, zsh and fish.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs from 'ejs'

const ASKING = [
  { name: 'help', char: 'h', value: 'none' },
  { name: 'usage', value: 'none' },
  { name: 'version', value: 'none' },
]

/** Returns file names below completion/ and texts. */
export function renderCompletion(root, definitions) {
  const verbs = definitions.map(describe)
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

function describe(definition) {
  const { getopt, args, title } = definition
  const named = getopt.named ? [{ name: 'name', char: 'n', value: 'required' }] : []
  const options = [...getopt.options, ...named, ...ASKING]
  const text = (name) => definition.optionLines.find(({ label }) => new RegExp(`--${name}(?![\\w-])`).test(label))?.text ?? ''
  const spelled = ({ name, char }) => (char === undefined ? [`--${name}`] : [`-${char}`, `--${name}`])
  return {
    title,
    options: options.flatMap(spelled),
    values: options.filter(({ value }) => value === 'required').flatMap(spelled),
    operands: args[0]?.name === 'name' ? 'names' : 'other',
    zsh: [...options.map((option) => zshOption(option, text(option.name))), ...zshOperands(args)],
    fish: options.map((option) => fishOption(option, text(option.name))),
  }
}

// _arguments: '(-t --timeout)'{-t+,--timeout=}'[text]:value:action'
function zshOption({ name, char, value }, text) {
  const label = text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&')
  const action = value === 'none' ? '' : `${value === 'optional' ? '::' : ':'}value:${name === 'name' ? '_tslxc_names' : '_files'}`
  const long = value === 'none' ? `--${name}` : `--${name}=`
  const words = char === undefined ? `'${long}` : `'(-${char} --${name})'{-${char}${value === 'none' ? '' : '+'},${long}}'`
  return `${words}[${label}]${action}'`
}

function zshOperands(args) {
  return args.map(({ name, multiple }, at) => `'${multiple ? '*' : at + 1}:${name}:${name === 'name' ? '_tslxc_names' : '_default'}'`)
}

function fishOption({ name, char, value }, text) {
  const short = char === undefined ? '' : ` -s ${char}`
  const action = value === 'required' ? (name === 'name' ? " -xa '(__tslxc_names)'" : ' -r') : ''
  return `-l ${name}${short}${action} -d '${fishQuote(text)}'`
}

function fishQuote(text) {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
}
