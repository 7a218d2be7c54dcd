// Renders native/applets/options.generated.inc (its shape: native/applets/options.hpp).

const VALUES = { none: 'Value::none', required: 'Value::required', optional: 'Value::optional' }

export function renderNativeOptions(definitions) {
  const verbs = definitions.filter(({ native }) => native)
  const lines = ['// Rendered by `npm run build` from src/commands; not to be edited.', '']
  for (const verb of verbs) {
    lines.push(`constexpr OptionRow ${verb.id}_options[] = {`, ...optionRows(verb).map((row) => `\t${row},`), '};', '')
  }
  lines.push('constexpr VerbTable verbs[] = {')
  for (const verb of verbs) {
    lines.push(
      `\t{"${verb.id}", Operands::${operands(verb)}, ${verb.id}_options, R"text(${verb.usage})text",`,
      `\t R"text(${verb.help})text"},`,
    )
  }
  lines.push('};', '')
  return lines.join('\n')
}

function optionRows({ getopt }) {
  const named = getopt.named ? [{ name: 'name', char: 'n', value: 'required' }] : []
  const asking = [
    { name: 'help', char: 'h', value: 'none' },
    { name: 'usage', value: 'none' },
    { name: 'version', value: 'none' },
  ]
  return [...getopt.options, ...named, ...asking].map(
    ({ name, char, value }) => `{"${name}", ${char === undefined ? '0' : `'${char}'`}, ${VALUES[value]}}`,
  )
}

function operands({ args, rest }) {
  const [first, second] = args
  if (first?.name !== 'name') return 'pattern'
  if (rest?.after === 'name') return 'name_then_command'
  if (first.multiple) return rest === undefined ? 'names' : 'names_and_command'
  return second?.name === 'state' ? 'name_and_states' : 'one_name'
}
