module.exports = { content: ['./app/**/*.js'], theme: { extend: {} }, plugins: [] };
