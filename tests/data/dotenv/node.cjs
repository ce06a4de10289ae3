// Standard input is a JSON list of files, standard output one of what dotenv makes of each.
const dotenv = require('dotenv')
const files = JSON.parse(require('fs').readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(files.map(text => dotenv.parse(text))))
