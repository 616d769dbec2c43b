// The main() of each app, which is the function QUESTION of its own file.
int QUESTION(int argc, char** argv);

int main(int argc, char** argv) {
  return QUESTION(argc, argv);
}
